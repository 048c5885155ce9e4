"""Configuration files and variables to values that the registry client understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyoci.environment import Environment
from pyoci.errors import UsageError
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.api.services import Options
    from pyoci.registry.credentials import Credential, CredentialSource
    from pyoci.registry.hosts import HostsConfig

__all__ = ["GivenCredentials", "credential_source", "hosts_config"]


def hosts_config(options: Options) -> HostsConfig:
    """Where registries are and whom to trust: configuration files first, then what this call was given.

    Raises:
        UsageError: a configuration file is not readable or says what it cannot mean.
    """
    from pyoci.registry.hosts_files import host_files, load_hosts

    environment = options.environment
    variables = dict(environment.variables)
    for name in ("SSL_CERT_FILE", "PYOCI_CONFIG"):
        if variables.get(name):
            variables[name] = str(environment.path(variables[name]))
    explicit = environment.path(options.config) if options.config is not None else None
    files = host_files(variables, environment.home, config=explicit)
    config = load_hosts(files, variables, environment.home)
    ca_files = tuple(environment.path(path) for path in options.ca_files)
    cert_dirs = tuple(environment.path(path) for path in options.cert_dirs)
    for directory in cert_dirs:
        if not directory.is_dir():
            raise UsageError(
                f"there is no directory {directory}", hint="--cert-dir names one with *.crt, *.cert and *.key"
            )
    given = replace(config, ca_files=(*config.ca_files, *ca_files), every_certs=cert_dirs)
    return given.with_insecure(options.insecure_registries)


class GivenCredentials:
    """Credentials from a source, and which of them registries were given. May be used from several threads at once."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self.given: dict[str, Credential] = {}
        """By registry."""

    def find(self, registry: str, repository: str) -> Credential | None:
        found = self._source.find(registry, repository)
        if found is not None:
            self.given[registry] = found
        return found


def credential_source(environment: Environment, warn: Callable[[str], None]) -> CredentialSource:
    """Who the user is at registries: docker's and podman's files, and the helper programs that they name."""
    from pyoci.registry.credentials import CredentialFiles, credential_paths

    variables = environment.variables
    return CredentialFiles(credential_paths(variables, environment.home, environment.uid), variables, warn)
