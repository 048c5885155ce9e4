"""A resolved target of a bake file as a BuildRequest: its texts are read as the flags of `pyoci build` are."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pyoci.api.bake import BakeRequest
from pyoci.bake.target import Entry, Target
from pyoci.build.request import BuildRequest, Output, SecretSource, SshSource
from pyoci.cli.outputs import parse_output
from pyoci.cli.quantities import parse_host, parse_size, parse_ulimit
from pyoci.errors import PyociError, UsageError

__all__ = ["bake_request", "warn_of_unsupported"]

_URL = re.compile(r"(?:https?|git|ssh)://|git@|github\.com/")


def warn_of_unsupported(target: Target, warn: Callable[[str], None], told: set[str]) -> None:
    """Says what pyoci does instead of what a target asks for and it does not do; each thing once for all targets."""
    if (target.cache_from or target.cache_to) and "cache" not in told:
        told.add("cache")
        warn(
            "cache-from and cache-to are not used: steps are cached in the store of this machine, "
            "keep that directory to keep the cache"
        )
    wanted = [one for one in target.attest or () if one.get("disabled") != "true"]
    if wanted and "attest" not in told:
        told.add("attest")
        warn(f"attest is not used: no attestation ({wanted[0].get('type')}) is made or pushed")


def bake_request(target: Target, arguments: argparse.Namespace) -> BakeRequest:
    """What is to be built for a target; errors say which target they are about.

    Raises:
        UsageError: a value is malformed, or more is wanted than the command line allows.
    """
    with _about(target):
        links = {
            name: value.removeprefix("target:")
            for name, value in (target.contexts or {}).items()
            if value is not None and value.startswith("target:")
        }
        return BakeRequest(_build_request(target, arguments), links, linked=target.linked)


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


def _build_request(target: Target, arguments: argparse.Namespace) -> BuildRequest:
    context = (target.context or ".").removeprefix("cwd://") or "."
    if context == "-" or target.dockerfile == "-":
        raise UsageError("context and Dockerfile cannot come from standard input", hint="name a directory or file")
    inline = target.dockerfile_inline
    return BuildRequest(
        context=context,
        file="-" if inline is not None else _dockerfile(target.dockerfile or "Dockerfile", context),
        stdin=inline.encode("utf-8", "surrogateescape") if inline is not None else None,
        tags=() if target.linked else target.tags or (),
        target=target.target or "",
        platforms=target.platforms or (),
        build_args=_set(target.args),
        build_contexts={
            name: value.removeprefix("cwd://") or "."
            for name, value in _set(target.contexts).items()
            if not value.startswith("target:")
        },
        outputs=() if target.linked else tuple(_outputs(target)),
        labels=_set(target.labels),
        annotations=dict(_annotation(text) for text in target.annotations or ()),
        no_cache=bool(target.no_cache),
        no_cache_filter=target.no_cache_filter or (),
        pull=bool(target.pull),
        network=_network(target.network or "default"),
        secrets=tuple(_secret(entry) for entry in target.secret or ()),
        ssh=tuple(SshSource(entry.get("id"), _one_path(entry)) for entry in target.ssh or ()),
        add_hosts=tuple(
            parse_host(f"{name}={address}")
            for name, addresses in _set(target.extra_hosts).items()
            for address in addresses.split(",")
        ),
        ulimits=dict(parse_ulimit(text) for text in target.ulimits or ()),
        shm_size=parse_size(target.shm_size, "shm-size") if target.shm_size else 0,
        allow=_allowed(target, arguments),
        isolation=arguments.isolation,
        preflight=arguments.preflight,
    )


def _set(values: object) -> dict[str, str]:
    """What has a value; null leaves the Dockerfile's."""
    return {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else {}


def _dockerfile(name: str, context: str) -> str:
    """Where the Dockerfile is: below the context, unless it is named from the working directory."""
    if name.startswith("cwd://"):
        return name.removeprefix("cwd://")
    if name.startswith("/") or _URL.match(name) or _URL.match(context):
        return name
    return name if context == "." else f"{context.rstrip('/')}/{name}"


def _outputs(target: Target) -> Iterator[Output]:
    for entry in target.output or ():
        if entry.get("type") != "cacheonly":
            yield parse_output(_as_text(entry))


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


def _allowed(target: Target, arguments: argparse.Namespace) -> frozenset[str]:
    """What the target needs, as far as the command line allows it."""
    allowed = {name for text in arguments.allow for name in text.split(",")}
    for name in target.entitlements or ():
        if name not in ("security.insecure", "network.host"):
            raise UsageError(f'unknown entitlement "{name}"', hint="there are security.insecure and network.host")
        if name == "security.insecure" and name not in allowed:
            raise UsageError(f"it needs the entitlement {name}", hint=f"grant it with --allow {name}")
    return frozenset(allowed | {name for name in target.entitlements or () if name == "network.host"})
