"""Where a registry is and how it is trusted: from configuration values to endpoints.

Opens no socket; the only files read are the names in `certs.d` directories. `hosts_files` makes these values from
files. The rules of prefixes, locations and mirrors are those of containers-registries.conf(5), version 2; loopback
hosts are treated as docker treats them: HTTPS is tried first, unverified unless a CA is configured for them, then
plain HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pyoci.content.limits import DEFAULT_CONTENT_LIMITS, ContentLimits
from pyoci.errors import UsageError
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.reference import DEFAULT_REGISTRY, Reference
from pyoci.registry.proxies import Proxies, is_loopback
from pyoci.values import dataclass, field, replace

__all__ = [
    "Endpoint",
    "HostSettings",
    "HostsConfig",
    "Mirror",
    "MirrorUse",
    "Network",
    "Rule",
    "Scheme",
    "Tls",
    "repository_of",
]

MirrorUse: TypeAlias = Literal["all", "digest-only", "tag-only"]
Scheme: TypeAlias = Literal["https", "http"]

_API_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust on a TLS connection, beside the system's store, and who we are."""

    verify: bool = True
    ca_files: tuple[Path, ...] = ()
    client_certs: tuple[tuple[Path, Path], ...] = ()
    """Certificate and key, in PEM."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What is configured for one host, named with its port as in a reference."""

    insecure: bool = False
    """TLS without verification is accepted, and plain HTTP where there is no TLS."""
    plain_http: bool = False
    """Only plain HTTP is spoken."""
    ca_files: tuple[Path, ...] = ()
    client_cert: Path | None = None
    client_key: Path | None = None
    """In `client_cert` itself when not given."""
    chunk_bytes: int = 0
    """Blobs are sent in requests of at most this size; 0 sends each in one."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another place that has the same content; used for pulls alone."""

    location: str
    """`host[:port][/path]`, put in the place of the rule's prefix."""
    insecure: bool = False
    use: MirrorUse = "all"


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to the names below one prefix. The longest prefix that fits a name decides."""

    prefix: str
    """`host`, `host/team`, `host/team/app`, one image of it (`host/team/app:1`, `…@sha256:…`) or `*.example.com`."""
    location: str = ""
    """Put in the place of the prefix; empty leaves names as they are."""
    mirrors: tuple[Mirror, ...] = ()
    fallback: bool = True
    """Whether the registry itself is asked when no mirror answers."""
    insecure: bool = False
    blocked: bool = False
    moves_pushes: bool = True
    """Whether pushes go to the location too. Podman's do not."""


@dataclass(frozen=True, slots=True)
class Network:
    """How long to wait and how often to try."""

    connect_seconds: float = 15
    stall_seconds: float = 60
    """The longest silence of a server in the middle of an answer."""
    commit_seconds: float = 300
    """The longest silence after the last byte of an upload: registries copy and hash blobs then."""
    attempts: int = 5
    backoff_seconds: float = 0.5
    """Before the second attempt; doubled before each further one, with jitter."""
    longest_wait_seconds: float = 60
    """A `Retry-After` beyond it is an error instead of a wait."""
    low_speed_bytes: int = 1024
    """Bytes per second; a transfer that is slower is given up and taken up again. 0 for no limit."""
    low_speed_seconds: float = 60
    """How long it must have been so."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask for the content of one repository."""

    registry: str
    """As names spell it, with port: what credentials are found by."""
    host: str
    """Host and port to connect to."""
    repository: str
    schemes: tuple[Scheme, ...] = ("https",)
    """In the order in which they are tried."""
    tls: Tls = field(default_factory=Tls)
    mirror: bool = False
    chunk_bytes: int = 0

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class HostsConfig:
    """Everything that decides where requests go."""

    hosts: Mapping[str, HostSettings] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    """Of two rules with one prefix the first counts."""
    certs_dirs: tuple[Path, ...] = ()
    """Directories with a folder per host: `<host>/*.crt` are CAs, `<host>/*.cert` and `*.key` client certificates."""
    ca_files: tuple[Path, ...] = ()
    """Trusted for every host."""
    every_certs: tuple[Path, ...] = ()
    """Directories with such files for every host: the CAs count for all, a client certificate is shown to registries
    and mirrors, and not to whom they send on.
    """
    proxies: Proxies = field(default_factory=Proxies)
    network: Network = field(default_factory=Network)
    limits: Limits = DEFAULT_LIMITS
    """How much a layer that came from anywhere may unpack to."""
    content_limits: ContentLimits = DEFAULT_CONTENT_LIMITS
    """How much an image that came from anywhere may be."""

    def with_insecure(self, hosts: Iterable[str]) -> HostsConfig:
        """The same with `--insecure-registry` given for some hosts."""
        changed = {host: replace(self.hosts.get(host, HostSettings()), insecure=True) for host in hosts}
        return replace(self, hosts={**self.hosts, **changed})

    def endpoints(self, reference: Reference, *, push: bool = False) -> tuple[Endpoint, ...]:
        """Where to ask for the reference's repository, best first: mirrors (for pulls), then the registry itself.

        Raises:
            UsageError: the configuration blocks the name, leaves no place to ask, or a client certificate has no key.
        """
        name = reference.name
        rule = _longest(self.rules, reference)
        if rule is None:
            return (self._endpoint(name, insecure=False, mirror=False),)
        if rule.blocked:
            raise UsageError(
                f"{name} is blocked by the configuration",
                hint=f'the rule for "{rule.prefix}" in config.toml or registries.conf says so',
            )
        found = []
        if not push:
            for mirror in rule.mirrors:
                if mirror.use == "all" or (mirror.use == "digest-only") == (reference.digest is not None):
                    moved = _moved(name, rule.prefix, mirror.location)
                    found.append(self._endpoint(moved, insecure=mirror.insecure, mirror=True))
        if push or rule.fallback:
            is_moved = rule.location and (rule.moves_pushes or not push)
            moved = _moved(name, rule.prefix, rule.location) if is_moved else name
            found.append(self._endpoint(moved, insecure=rule.insecure, mirror=False))
        if not found:
            raise UsageError(
                f"{name} has no mirror for this kind of pull and no fallback",
                hint=f'add a mirror or set fallback = true for "{rule.prefix}"',
            )
        return tuple(found)

    def tls_of(self, host: str, *, insecure: bool = False) -> Tls:
        """Whom to trust at `host` (with port), whatever led there: also for redirects and token servers.

        Raises:
            UsageError: a client certificate in a `certs.d` directory has no key.
        """
        settings = self.hosts.get(host, HostSettings())
        ca_files, client_certs = _certs_d(self.certs_dirs, host)
        if settings.client_cert is not None:
            client_certs = ((settings.client_cert, settings.client_key or settings.client_cert), *client_certs)
        own = (*settings.ca_files, *ca_files)
        loose = insecure or settings.insecure or (is_loopback(_hostname(host)) and not own)
        every = tuple(path for folder in self.every_certs for path in _certs_in(folder)[0])
        return Tls(verify=not loose, ca_files=(*self.ca_files, *every, *own), client_certs=client_certs)

    def schemes_of(self, host: str, *, insecure: bool = False) -> tuple[Scheme, ...]:
        """What may be spoken with `host` (with port), best first."""
        settings = self.hosts.get(host, HostSettings())
        if settings.plain_http:
            return ("http",)
        loose = insecure or settings.insecure
        if is_loopback(_hostname(host)) and not settings.ca_files and not _certs_d(self.certs_dirs, host)[0]:
            loose = True
        return ("https", "http") if loose else ("https",)

    def _endpoint(self, name: str, *, insecure: bool, mirror: bool) -> Endpoint:
        registry, slash, repository = name.partition("/")
        if not slash or not repository:
            raise UsageError(f'"{name}" names a registry without a repository')
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        host = _API_HOSTS.get(registry, registry)
        settings = self.hosts.get(registry, self.hosts.get(host, HostSettings()))
        named = self if registry == host else replace(self, hosts={**self.hosts, host: settings})
        tls = named.tls_of(host, insecure=insecure)
        if registry != host:
            extra, certs = _certs_d(self.certs_dirs, registry)
            tls = replace(tls, ca_files=(*tls.ca_files, *extra), client_certs=(*tls.client_certs, *certs))
        every = tuple(pair for folder in self.every_certs for pair in _certs_in(folder)[1])
        tls = replace(tls, client_certs=(*tls.client_certs, *every))
        schemes = named.schemes_of(host, insecure=insecure)
        return Endpoint(registry, host, repository, schemes, tls, mirror, settings.chunk_bytes)


def _hostname(host: str) -> str:
    """The name or address without the port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def repository_of(prefix: str) -> str:
    """A prefix without the tag or digest that makes it one image's."""
    host, slash, path = prefix.partition("/")
    return f"{host}{slash}{path.partition('@')[0].partition(':')[0]}"


def _longest(rules: tuple[Rule, ...], reference: Reference) -> Rule | None:
    name = reference.name
    whole = (f"{name}:{reference.tag}", f"{name}@{reference.digest}")
    best: tuple[int, Rule] | None = None
    for rule in rules:
        length = len(rule.prefix) if rule.prefix in whole else _match(rule.prefix, name)
        if length and (best is None or length > best[0]):
            best = (length, rule)
    return best[1] if best else None


def _match(prefix: str, name: str) -> int:
    """How many characters of `name` the prefix covers; 0 when it does not fit. A wildcard covers the host."""
    if prefix.startswith("*."):
        host = _hostname(name.partition("/")[0])
        return len(name.partition("/")[0]) if host.endswith(prefix[1:]) else 0
    return len(prefix) if name == prefix or name.startswith(f"{prefix}/") else 0


def _moved(name: str, prefix: str, location: str) -> str:
    return location + name[_match(repository_of(prefix), name) :]


def _certs_d(directories: tuple[Path, ...], host: str) -> tuple[tuple[Path, ...], tuple[tuple[Path, Path], ...]]:
    """CA files and client certificates of a host, in the layout that docker and podman share."""
    found = [_certs_in(directory / host) for directory in directories]
    return (
        tuple(path for authorities, _ in found for path in authorities),
        tuple(pair for _, clients in found for pair in clients),
    )


def _certs_in(folder: Path) -> tuple[tuple[Path, ...], tuple[tuple[Path, Path], ...]]:
    """CA files and client certificates in one folder; nothing if it is not there."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return (), ()
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from error
    clients: list[tuple[Path, Path]] = []
    for name in names:
        if name.endswith(".cert"):
            key = name.removesuffix(".cert") + ".key"
            if key not in names:
                raise UsageError(f"{folder / name} has no key", hint=f"put the key beside it as {key}")
            clients.append((folder / name, folder / key))
        elif name.endswith(".key") and name.removesuffix(".key") + ".cert" not in names:
            raise UsageError(
                f"{folder / name} has no certificate",
                hint="client certificates end in .cert (.crt is for CAs)",
            )
    return tuple(folder / name for name in names if name.endswith(".crt")), tuple(clients)
