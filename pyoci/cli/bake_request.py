"""A resolved target of a bake file as a BuildRequest: its texts are read as the flags of `pyoci build` are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from pyoci.api.bake import BakeRequest
from pyoci.api.bake_permissions import Needs, Permissions
from pyoci.api.bake_places import Places, places_of, uses_git_secrets
from pyoci.api.bake_remote import Remote, git_host
from pyoci.bake.target import Entry, Target
from pyoci.build.request import BuildRequest, CachePlace, Output, SecretSource, SshSource
from pyoci.cli.outputs import parse_caches, parse_output
from pyoci.cli.quantities import parse_host, parse_size, parse_ulimit
from pyoci.errors import PyociError, UsageError
from pyoci.platforms import parse_platform
from pyoci.values import replace

if TYPE_CHECKING:
    import argparse

    from pyoci.api.options import Options
from pyoci.cli.attest_flags import parse_attestations
from pyoci.cli.bake_environment import BakeEnvironment

__all__ = ["BakeReader"]

_RESOURCES = {
    "memory-swap": "swap has no limit of its own; memory limits the memory of a RUN",
    "cpu-shares": "RUN steps have no CPU limit",
    "cpu-period": "RUN steps have no CPU limit",
    "cpu-quota": "RUN steps have no CPU limit",
    "cpuset-cpus": "RUN steps are not bound to processors",
    "cpuset-mems": "RUN steps are not bound to memory nodes",
}
"""Limits that are an error, with the reason."""
_FILES = ("local", "tar", "oci", "docker")
"""Outputs that write to a path."""
_ANNOTATED = ("manifest", "index", "manifest-descriptor", "index-descriptor")


class BakeReader:
    """Reads the targets of one run."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        permissions: Permissions,
        options: Options,
        remote: Remote | None,
        environment: BakeEnvironment,
    ) -> None:
        self._arguments = arguments
        self._permissions = permissions
        self._platform = options.environment.platform
        self._path = options.environment.path
        self._remote = remote
        self._environment = environment

    def shown(self, target: Target) -> Target:
        """The target as `--print` shows it: what buildx looks at before it prints is right.

        Raises:
            UsageError: it is not; the error says which target it is about.
        """
        with _about(target):
            remote = replace(self._remote, scratch=None) if self._remote is not None else None
            context = places_of(target, remote).context
            for text in target.platforms or ():
                parse_platform(text, default=self._platform)
            for text in target.ulimits or ():
                parse_ulimit(text)
            if target.shm_size:
                parse_size(target.shm_size, "shm-size")
            for text in target.annotations or ():
                _annotation(text)
            return replace(target, context=context)

    def request(self, target: Target) -> BakeRequest:
        """What is to be built for a target.

        Raises:
            UsageError: a value is malformed, or more is wanted than pyoci does; it says which target it is about.
        """
        with _about(target):
            places = places_of(target, self._remote)
            self._refuse(target)
            links = {
                name: value.removeprefix("target:")
                for name, value in places.contexts.items()
                if value.startswith("target:")
            }
            return BakeRequest(self._build_request(target, places), links, linked=target.linked)

    def needs(self, target: Target) -> Needs:
        """What the target reaches for on this machine."""
        read = list(places_of(target, self._remote).local)
        read += [one.get("src") for one in target.secret or () if one.get("src")]
        read += [path for one in target.ssh or () for path in one.get("paths").split(",") if path]
        read += [one.get("src") for one in target.cache_from or () if one.get("type") == "local" and one.get("src")]
        write = [one.get("dest") for one in target.cache_to or () if one.get("type") == "local" and one.get("dest")]
        outputs = () if target.linked else target.output or ()
        write += [one.get("dest") for one in outputs if one.get("type") in _FILES and one.get("dest") not in ("", "-")]
        return Needs(
            insecure="security.insecure" in (target.entitlements or ()),
            ssh=any(not one.get("paths") for one in target.ssh or ()),
            delete=any(one.get("type") == "local" and one.get("mode") == "delete" for one in outputs),
            read=tuple(read),
            write=tuple(write),
        )

    def _refuse(self, target: Target) -> None:
        for name in target.resources or {}:
            if name in _RESOURCES:
                raise UsageError(f'the resource "{name}" is not there', hint=_RESOURCES[name])
        if any(not policy.disabled for policy in target.policy or ()):
            raise UsageError("policy is not there", hint="source policies are not read; policy disabled=true is")

    def _build_request(self, target: Target, places: Places) -> BuildRequest:
        inline = target.dockerfile_inline
        file = places.file
        if (target.dockerfile or "").startswith("cwd://"):
            file = str(self._path(file))  # a relative one would be looked for in a context that is not here
        secrets = {entry.get("id"): _secret(entry) for entry in target.secret or ()}
        if self._remote is not None and uses_git_secrets(places.context, self._remote):
            for one in self._environment.git_secrets(git_host(self._remote.url)):
                secrets.setdefault(one.id, one)
        given = [] if target.linked else [_as_text(entry) for entry in target.attest or ()]
        attested = parse_attestations(given, provenance="", sbom="")
        memory = str((target.resources or {}).get("memory", ""))
        return BuildRequest(
            context=places.context,
            file="-" if inline is not None else file,
            stdin=inline.encode("utf-8", "surrogateescape") if inline is not None else None,
            tags=() if target.linked else target.tags or (),
            target=target.target or "",
            platforms=target.platforms or (),
            build_args=_set(target.args),
            build_contexts={name: value for name, value in places.contexts.items() if not value.startswith("target:")},
            outputs=() if target.linked else tuple(_outputs(target)),
            labels=_set(target.labels),
            annotations=dict(_annotation(text) for text in target.annotations or ()),
            no_cache=bool(target.no_cache),
            no_cache_filter=target.no_cache_filter or (),
            cache_from=_caches(target.cache_from or (), "--cache-from"),
            cache_to=_caches(target.cache_to or (), "--cache-to"),
            pull=bool(target.pull),
            network=_network(target.network or "default"),
            secrets=tuple(secrets.values()),
            ssh=tuple(SshSource(entry.get("id"), _one_path(entry)) for entry in target.ssh or ()),
            add_hosts=tuple(
                parse_host(f"{name}={address}")
                for name, addresses in _set(target.extra_hosts).items()
                for address in addresses.split(",")
            ),
            ulimits=dict(parse_ulimit(text) for text in target.ulimits or ()),
            shm_size=parse_size(target.shm_size, "shm-size") if target.shm_size else 0,
            memory=parse_size(memory, "memory") if memory else 0,
            allow=_allowed(target, self._permissions),
            provenance=attested.provenance,
            builder_id=attested.builder_id,
            sbom=attested.sbom,
            isolation=self._arguments.isolation,
            ca_bundle=self._arguments.ca_bundle,
            preflight=self._arguments.preflight,
        )


@contextmanager
def _about(target: Target) -> Iterator[None]:
    try:
        yield
    except PyociError as error:
        error.message = f"target {target.name}: {error.message}"
        error.args = (error.message,)
        if error.location is None:
            error.location = target.location
        raise


def _set(values: object) -> dict[str, str]:
    """What has a value; null leaves the Dockerfile's."""
    return {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else {}


def _outputs(target: Target) -> Iterator[Output]:
    for entry in target.output or ():
        if entry.get("type") != "cacheonly":
            yield parse_output(_as_text(entry))


def _caches(entries: Sequence[Entry], flag: str) -> tuple[CachePlace, ...]:
    return tuple(place for entry in entries for place in parse_caches(_as_text(entry), flag))


def _as_text(entry: Entry) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(f"{key}={value}" for key, value in entry.values.items())
    return text.getvalue()


def _annotation(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f'invalid annotation "{text}"', hint="write key=value")
    kinds, colon, _ = key.rpartition(":")
    for kind in kinds.split(",") if colon else ():
        if kind.partition("[")[0] not in _ANNOTATED:
            raise UsageError(f'unknown annotation type "{kind}"', hint=f"the types are {', '.join(_ANNOTATED)}")
    return key, value


def _network(name: str) -> Literal["default", "host", "none"]:
    match name:
        case "default" | "host" | "none":
            return name
        case _:
            raise UsageError(f'unknown network "{name}"', hint="the networks are default, host and none")


def _secret(entry: Entry) -> SecretSource:
    if not entry.get("id"):
        raise UsageError("a secret needs an id", hint="write id=NAME,src=FILE or id=NAME,env=VARIABLE")
    return SecretSource(entry.get("id"), file=entry.get("src"), env=entry.get("env"))


def _one_path(entry: Entry) -> str:
    path = entry.get("paths")
    if "," in path:
        raise UsageError(f'ssh "{entry.get("id")}" has several keys', hint="name one key, or an agent that holds them")
    return path


def _allowed(target: Target, permissions: Permissions) -> frozenset[str]:
    """What the target needs, as far as it is allowed. The network of a RUN is the host's in any case."""
    for name in target.entitlements or ():
        if name not in ("security.insecure", "network.host"):
            raise UsageError(f'unknown entitlement "{name}"', hint="there are security.insecure and network.host")
    wanted = {name for name in target.entitlements or () if name == "network.host"}
    if permissions.host_network:
        wanted.add("network.host")
    if permissions.insecure:
        wanted.add("security.insecure")
    return frozenset(wanted)
