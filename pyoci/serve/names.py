"""Which image of the store a repository's name means, and how an image of the store is called by clients.

The rule is told in the package's docstring. Spec: distribution-spec, "Pulling manifests" (the grammar of names).
"""

from __future__ import annotations

from pyoci.errors import UsageError
from pyoci.reference import DEFAULT_REGISTRY, Reference, parse_reference
from pyoci.serve.refusals import Refused
from pyoci.values import dataclass

__all__ = ["RepositoryName", "parse_tag", "path_of", "read_name"]


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """What a client's name of a repository stands for in the store."""

    path: str
    """As the client wrote it."""
    registry: str
    repository: str
    addresses: tuple[str, ...] = ()
    """Registries in front of `path` that mean this server: what the store has under them is shown first."""

    @property
    def name(self) -> str:
        """Where pushes land: `docker.io/library/app`."""
        return f"{self.registry}/{self.repository}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of the store that is shown here, the one that counts more first."""
        return (*(f"{address}/{self.path}" for address in self.addresses), self.name)

    def references(self, tag: str) -> tuple[Reference, ...]:
        """The references of a tag under all names, in their order; the last is where pushes land."""
        aliases = (Reference(address, self.path, tag) for address in self.addresses)
        return (*aliases, Reference(self.registry, self.repository, tag))


def read_name(path: str, *, addresses: tuple[str, ...], host: str = "", namespace: str = "") -> RepositoryName:
    """The repository that a client means.

    `addresses` are known to be this server's, `host` is how this client reached it; `namespace` is the registry that a
    mirror's client asks for (`?ns=`).

    Raises:
        Refused: it is no name of a repository, or no registry.
    """
    if path != path.lower() or ":" in path or "@" in path:
        raise _invalid(path)
    if namespace and namespace not in addresses:
        known = namespace == DEFAULT_REGISTRY or _is_registry(namespace)
        reference = _parsed(f"{namespace}/{path}") if known else None
        if reference is None:
            raise Refused(400, "NAME_INVALID", f'"{namespace[:80]}" is not a registry', detail={"ns": namespace[:255]})
        return RepositoryName(path, reference.registry, reference.repository)
    # The first part may look like a host and be none (`a_b.c/app`); then it is docker.io's as any other.
    reference = _parsed(path) or _parsed(f"docker.io/{path}")
    if reference is None:
        raise _invalid(path)
    if host not in addresses and _is_registry(host) and _parsed(f"{host}/{path}") is not None:
        addresses = (host, *addresses)
    return RepositoryName(path, reference.registry, reference.repository, addresses)


def _is_registry(text: str) -> bool:
    """Whether the first part of a name would be taken for a registry, and not docker.io's."""
    reference = _parsed(f"{text}/x") if "/" not in text else None
    return reference is not None and reference.registry == text != DEFAULT_REGISTRY


def _parsed(text: str) -> Reference | None:
    try:
        reference = parse_reference(text, default_tag=None)
    except UsageError:
        return None
    return reference if reference.tag is None and reference.digest is None else None


def _invalid(path: str) -> Refused:
    return Refused(400, "NAME_INVALID", f'"{path[:255]}" is not the name of a repository', detail={"name": path[:255]})


def parse_tag(text: str) -> str:
    """The tag in the place of a URL where a tag or digest stands.

    Raises:
        Refused: it is neither.
    """
    try:
        reference = parse_reference(f"x:{text}", default_tag=None)
    except UsageError:
        reference = None
    if reference is None or reference.tag != text or reference.digest is not None:
        raise Refused(400, "MANIFEST_INVALID", f'"{text[:160]}" is neither a tag nor a digest')
    return text


def path_of(reference: Reference, *, addresses: tuple[str, ...]) -> str | None:
    """What clients of this server call an image of the store (without tag); None where they have no name for it.

    Names of repositories have no colon, so an image of another registry with a port cannot be asked for.
    """
    path = reference.repository if reference.registry in addresses else reference.familiar_name
    try:
        found = read_name(path, addresses=addresses)
    except Refused:
        return None
    return path if reference.name in found.names else None
