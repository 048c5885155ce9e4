"""Who the user is at a registry, kept for later and forgotten again."""

from __future__ import annotations

from pyoci.api.services import Options
from pyoci.errors import UsageError
from pyoci.reference import DEFAULT_REGISTRY, parse_reference

__all__ = ["login", "logout"]


def login(registry: str = "", *, username: str, password: str, options: Options | None = None) -> str:
    """Proves that a registry accepts a name and a password, and keeps them; where: a file, or `docker-credential-…`.

    They go where docker and podman keep theirs and look for them. `registry` is docker.io if empty; with a path
    (`host/team`) the login counts below it alone.

    Raises:
        Unauthorized: the registry does not accept them; nothing is kept.
        RegistryError: it does not answer.
        UsageError: `registry` is none, something is empty, or a credential file or helper cannot be used.
    """
    from pyoci.api.settings import hosts_config
    from pyoci.registry.client import check_login
    from pyoci.registry.credential_files import save_login
    from pyoci.registry.credentials import Credential, credential_paths

    options = options or Options()
    environment = options.environment
    name = _registry_name(registry)
    if not username or not password:
        raise UsageError(f"the {'password' if username else 'user name'} for {name} is empty")
    credential = Credential(username, password)
    check_login(name, credential, hosts_config(options))
    paths = credential_paths(environment.variables, environment.home, environment.uid)
    where = save_login(paths, name, credential, environment=environment.variables)
    if not where.startswith("docker-credential-"):
        options.reporter.warning(
            f"the password is kept unencrypted in {where}; a credential helper that is named there as credsStore "
            "keeps it elsewhere"
        )
    return where


def logout(registry: str = "", *, options: Options | None = None) -> tuple[str, ...]:
    """Forgets the login to a registry (docker.io if empty); the files and helpers that had one, none is no error.

    Raises:
        UsageError: `registry` is none, or a file or helper cannot be used.
    """
    from pyoci.registry.credential_files import erase_login
    from pyoci.registry.credentials import credential_paths

    environment = (options or Options()).environment
    paths = credential_paths(environment.variables, environment.home, environment.uid)
    return erase_login(paths, _registry_name(registry), environment=environment.variables)


def _registry_name(text: str) -> str:
    """A registry as names of images spell it, for any form in which people and docker write it."""
    from pyoci.registry.credentials import registry_of_key

    name = registry_of_key(text) if text else DEFAULT_REGISTRY
    host = name.partition("/")[0]
    try:
        reference = parse_reference(f"{name}/x")
    except UsageError:
        reference = None
    if reference is None or reference.registry != host or reference.tag != "latest":
        raise UsageError(f'"{text}" is not a registry', hint="write HOST[:PORT], such as registry.example.com")
    return name
