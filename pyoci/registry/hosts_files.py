"""HostsConfig from files: our `config.toml` (docs/configuration.md) and podman's `registries.conf` of version 2.

Of podman's file, what is said about short names is left aside: pyoci reads names as docker does.
Formats: containers-registries.conf(5), containers-certs.d(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyoci.content.limits import (
    DEFAULT_CONTENT_LIMITS,
    LARGEST_DOCUMENT_BYTES,
    SMALL_DOCUMENT_BYTES,
    ContentLimits,
)
from pyoci.errors import UsageError
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.registry.config_table import ConfigTable, read_toml
from pyoci.registry.hosts import HostsConfig, HostSettings, Mirror, MirrorUse, Network, Rule, repository_of
from pyoci.registry.proxies import proxies_from_environment
from pyoci.values import dataclass, replace

__all__ = ["HostFiles", "host_files", "load_hosts", "read_config", "read_registries_conf"]

_USES: Mapping[str, MirrorUse] = {"all": "all", "digest-only": "digest-only", "tag-only": "tag-only"}


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Which files and directories say where registries are. Those named first are asked first."""

    configs: tuple[Path, ...]
    """`config.toml` files."""
    registries_confs: tuple[Path, ...]
    """`registries.conf` files, and `registries.conf.d` directories before them."""
    certs_dirs: tuple[Path, ...]
    required: bool = False
    """Whether the user named the `config.toml`, so that it must be there."""


def host_files(environment: Mapping[str, str], home: Path, *, config: Path | None = None) -> HostFiles:
    """Where these files are for a user; `config`, else `$PYOCI_CONFIG`, stands in for both places of `config.toml`."""
    config_home = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    explicit = config or environment.get("PYOCI_CONFIG")
    configs = (Path(explicit),) if explicit else (config_home / "pyoci" / "config.toml", Path("/etc/pyoci/config.toml"))
    system = Path("/etc/containers")
    own = config_home / "containers"
    if named := environment.get("CONTAINERS_REGISTRIES_CONF"):
        confs: tuple[Path, ...] = (Path(named),)
    else:
        main = own / "registries.conf"
        confs = (
            own / "registries.conf.d",
            system / "registries.conf.d",
            main if main.exists() else system / "registries.conf",
        )
    certs = (config_home / "docker", Path("/etc/docker"), own, system)
    return HostFiles(configs, confs, tuple(directory / "certs.d" for directory in certs), required=bool(explicit))


def load_hosts(files: HostFiles, environment: Mapping[str, str], home: Path) -> HostsConfig:
    """What all files together say, with the environment's proxies and `SSL_CERT_FILE`. Files that are not there say
    nothing.

    Raises:
        UsageError: a file cannot be read or has a setting that does not exist.
    """
    merged = HostsConfig()
    for path in files.configs:
        found = read_config(path, home=home)
        if found is None:
            if files.required:
                raise UsageError(f"there is no configuration file {path}", hint="--config or PYOCI_CONFIG names it")
            continue
        limited = merged if _sets_limits(merged) else found
        # A file that was read before counts more: its hosts stay, its rules are found first, its network settings win.
        merged = HostsConfig(
            hosts={**found.hosts, **merged.hosts},
            rules=(*merged.rules, *found.rules),
            certs_dirs=(*merged.certs_dirs, *found.certs_dirs),
            ca_files=(*merged.ca_files, *found.ca_files),
            network=merged.network if merged.network != Network() else found.network,
            limits=limited.limits,
            content_limits=limited.content_limits,
        )
    rules = list(merged.rules)
    for path in files.registries_confs:
        for file in sorted(path.glob("*.conf"), reverse=True) if path.is_dir() else [path]:
            rules += read_registries_conf(file, home=home)
    ca_files = merged.ca_files
    if bundle := environment.get("SSL_CERT_FILE"):
        ca_files = (*ca_files, Path(bundle))
    return replace(
        merged,
        rules=tuple(rules),
        certs_dirs=(*merged.certs_dirs, *files.certs_dirs),
        ca_files=ca_files,
        proxies=proxies_from_environment(environment),
    )


def read_config(path: Path, *, home: Path) -> HostsConfig | None:
    """What one `config.toml` says; None when there is no such file.

    Raises:
        UsageError: it cannot be read, or a setting is unknown or has the wrong type.
    """
    top = read_toml(path, home=home)
    if top is None:
        return None
    rules = []
    for prefix, table in top.tables("registry"):
        rules.append(_rule(prefix, table))
        table.finish()
    hosts = {}
    for name, table in top.tables("host"):
        hosts[name] = _host(table)
        table.finish()
    general = top.table("network")
    network = _network(general)
    ca_files, certs_dirs = general.paths("ca-files"), general.paths("certs-dirs")
    general.finish()
    bounds = top.table("limits")
    limits, content_limits = _limits(bounds), _content_limits(bounds)
    bounds.finish()
    top.finish()
    return HostsConfig(
        hosts, tuple(rules), certs_dirs, ca_files, network=network, limits=limits, content_limits=content_limits
    )


def read_registries_conf(path: Path, *, home: Path) -> tuple[Rule, ...]:
    """The rules of one `registries.conf`; none when there is no such file.

    Raises:
        UsageError: it cannot be read, is of version 1, or a rule is malformed.
    """
    top = read_toml(path, home=home, concerns=_may_name_registries)
    if top is None:
        return ()
    if "registries" in top:
        raise UsageError(
            f"{path} is of version 1, which was retired", hint="write it as [[registry]] tables: registries.conf(5)"
        )
    rules = []
    for table in top.items("registry"):
        if isinstance(table, str):
            raise UsageError(f"{path}: registry must be an array of tables")
        location, prefix = table.text("location"), table.text("prefix")
        if not location and not prefix.startswith("*."):
            raise UsageError(f'{path}: the registry with prefix "{prefix}" has no location')
        prefix = prefix or location
        if prefix != location and any(repository_of(text) != text for text in (prefix, location)):
            raise UsageError(
                f'{path}: one image cannot be moved: "{prefix}" to "{location}"',
                hint="give the same location, or the repository's prefix and location",
            )
        only_digests = table.flag("mirror-by-digest-only")
        mirrors = [_podman_mirror(entry, only_digests=only_digests) for entry in table.items("mirror")]
        rules.append(
            Rule(
                prefix,
                "" if location == prefix else location,
                tuple(mirrors),
                moves_pushes=False,
                insecure=table.flag("insecure"),
                blocked=table.flag("blocked"),
            )
        )
    return tuple(rules)


def _may_name_registries(raw: bytes) -> bool:
    """Whether a `registries.conf` may have a table or a key named `registry` or `registries`. Distributions ship files
    of short names, which would take longer to read than everything else that is configured.
    """
    if any(mark in raw for mark in (b"\\", b'"""', b"'''")):
        return (
            True  # TOML can spell a name with the first, and what looks like a table may be in a text with the others
        )
    is_alias = False
    for line in map(bytes.strip, raw.splitlines()):
        if line.startswith(b"["):
            is_alias = line == b"[aliases]"
        if not is_alias and line.lstrip(b"[ \t\"'").startswith(b"regist"):
            return True
    return False


def _podman_mirror(entry: str | ConfigTable, *, only_digests: bool) -> Mirror:
    if isinstance(entry, str):
        raise UsageError(f'the mirror "{entry}" of a registries.conf must be a table')
    if only_digests and entry.text("pull-from-mirror"):
        raise entry.fail("pull-from-mirror", "cannot be given where the registry has mirror-by-digest-only")
    use = _use(entry, "pull-from-mirror", "digest-only" if only_digests else "all")
    return Mirror(_location(entry, "location"), insecure=entry.flag("insecure"), use=use)


def _rule(prefix: str, table: ConfigTable) -> Rule:
    mirrors = []
    for entry in table.items("mirrors"):
        if isinstance(entry, str):
            mirrors.append(Mirror(_checked(entry, table, "mirrors")))
        else:
            mirrors.append(
                Mirror(_location(entry, "location"), insecure=entry.flag("insecure"), use=_use(entry, "use", "all"))
            )
            entry.finish()
    return Rule(
        prefix,
        _location(table, "location") if "location" in table else table.text("location"),
        tuple(mirrors),
        fallback=table.flag("fallback", default=True),
        insecure=table.flag("insecure"),
        blocked=table.flag("blocked"),
    )


def _host(table: ConfigTable) -> HostSettings:
    settings = HostSettings(
        insecure=table.flag("insecure"),
        plain_http=table.flag("plain-http"),
        ca_files=table.paths("ca-files"),
        client_cert=table.path("client-cert"),
        client_key=table.path("client-key"),
        chunk_bytes=table.size("chunk-size"),
    )
    if settings.client_key is not None and settings.client_cert is None:
        raise table.fail("client-key", "needs a client-cert")
    return settings


def _network(table: ConfigTable) -> Network:
    default = Network()
    return Network(
        connect_seconds=table.seconds("connect-timeout", default.connect_seconds),
        stall_seconds=table.seconds("stall-timeout", default.stall_seconds),
        commit_seconds=table.seconds("commit-timeout", default.commit_seconds),
        attempts=table.whole("attempts", default.attempts, minimum=1),
        backoff_seconds=table.seconds("backoff", default.backoff_seconds),
        longest_wait_seconds=table.seconds("longest-wait", default.longest_wait_seconds),
        low_speed_bytes=table.size("low-speed-limit", default.low_speed_bytes),
        low_speed_seconds=table.seconds("low-speed-time", default.low_speed_seconds),
    )


def _limits(table: ConfigTable) -> Limits:
    default = DEFAULT_LIMITS
    return replace(
        default,
        uncompressed_bytes=table.size("unpacked-size", default.uncompressed_bytes),
        ratio=table.whole("unpacked-ratio", default.ratio, minimum=1),
        entries=table.whole("layer-entries", default.entries, minimum=1),
        metadata_bytes=table.size("layer-metadata", default.metadata_bytes),
    )


_DEEPEST = 100
"""Indexes and referrers are followed by functions that call themselves."""


def _content_limits(table: ConfigTable) -> ContentLimits:
    default = DEFAULT_CONTENT_LIMITS
    found = ContentLimits(
        document_bytes=table.size("document-size", default.document_bytes),
        image_bytes=table.size("image-size", default.image_bytes),
        pieces=table.whole("image-pieces", default.pieces, minimum=1),
        index_depth=table.whole("index-depth", default.index_depth, minimum=1),
        referrers=table.whole("referrers", default.referrers),
        referrer_depth=table.whole("referrer-depth", default.referrer_depth, minimum=1),
    )
    if not SMALL_DOCUMENT_BYTES <= found.document_bytes <= LARGEST_DOCUMENT_BYTES:
        raise table.fail("document-size", "must be a size from 64KiB to 256MiB")
    for key, depth in (("index-depth", found.index_depth), ("referrer-depth", found.referrer_depth)):
        if depth > _DEEPEST:
            raise table.fail(key, f"must be a whole number of at most {_DEEPEST}")
    return found


def _sets_limits(config: HostsConfig) -> bool:
    return (config.limits, config.content_limits) != (DEFAULT_LIMITS, DEFAULT_CONTENT_LIMITS)


def _use(table: ConfigTable, key: str, default: MirrorUse) -> MirrorUse:
    text = table.text(key, default)
    if text not in _USES:
        raise table.fail(key, f"must be one of {', '.join(_USES)}")
    return _USES[text]


def _location(table: ConfigTable, key: str) -> str:
    return _checked(table.text(key), table, key)


def _checked(location: str, table: ConfigTable, key: str) -> str:
    if not location or "://" in location or location.startswith("/") or "@" in location or location.endswith("/"):
        raise table.fail(key, f'is "{location}", and must be a host with optional port and path, without a scheme')
    return location
