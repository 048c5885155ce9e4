"""Configuration files and variables to values that the registry client understands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyoci.environment import Environment

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
    from pyoci.registry.hosts import HostsConfig
    from pyoci.registry.proxies import proxies_from_environment

    environment = options.environment
    config = HostsConfig(proxies=proxies_from_environment(environment.variables))
    ca_files = options.ca_files
    bundle = environment.variables.get("SSL_CERT_FILE")
    if bundle:
        ca_files = (*ca_files, environment.path(bundle))
    return replace(config, ca_files=(*config.ca_files, *ca_files)).with_insecure(options.insecure_registries)


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


def credential_source(environment: Environment) -> CredentialSource:
    """Who the user is at registries: docker's and podman's files."""
    from pyoci.registry.credentials import CredentialFiles, credential_paths

    return CredentialFiles(credential_paths(environment.variables, environment.home, environment.uid))
