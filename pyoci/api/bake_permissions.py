"""What a bake file may reach on this machine without being asked for: the working directory, and what `--allow` says.

A bake file names paths to read (contexts, secrets, keys) and to write (outputs, caches). It may be somebody else's, so
what is outside of the working directory has to be allowed, links followed. Spec: docker/buildx buildx_bake.md#allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pyoci.environment import Environment
from pyoci.errors import UsageError
from pyoci.values import dataclass

__all__ = ["Needs", "Permissions", "check_permissions", "parse_permissions"]

_WITHOUT_EFFECT = ("device", "image", "image.load", "image.push")
_KEYS = ("network.host", "security.insecure", "ssh", "fs.read", "fs.write", "fs", "buildx.local.delete")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What `--allow` gives."""

    insecure: bool = False
    host_network: bool = False
    ssh: bool = False
    delete: bool = False
    """Files of an output directory that the build does not write."""
    read: tuple[str, ...] = ()
    """Paths with what is below them; `*` is all."""
    write: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    """What is allowed though nothing here needs it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a target reaches for."""

    insecure: bool = False
    ssh: bool = False
    """The agent of SSH_AUTH_SOCK."""
    delete: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


def parse_permissions(texts: Iterable[str]) -> Permissions:
    """The values of `--allow`.

    Raises:
        UsageError: one is no entitlement.
    """
    flags: set[str] = set()
    read, write, other = list[str](), list[str](), list[str]()
    for text in texts:
        for one in [text] if "=" in text else text.split(","):
            key, equals, value = one.partition("=")
            if key in ("network.host", "security.insecure", "ssh", "buildx.local.delete") and not equals:
                flags.add(key)
            elif key in ("fs", "fs.read", "fs.write") and value:
                read += [value] if key != "fs.write" else []
                write += [value] if key != "fs.read" else []
            elif key in _WITHOUT_EFFECT:
                other.append(one)
            else:
                raise UsageError(
                    f'invalid entitlement "{one}" for --allow', hint=f"the entitlements are {', '.join(_KEYS)}"
                )
    return Permissions(
        insecure="security.insecure" in flags,
        host_network="network.host" in flags,
        ssh="ssh" in flags,
        delete="buildx.local.delete" in flags,
        read=tuple(read),
        write=tuple(write),
        without_effect=tuple(other),
    )


def check_permissions(
    needs: Mapping[str, Needs], given: Permissions, environment: Environment, *, guards_files: bool
) -> None:
    """Makes sure that what targets reach for is allowed; `guards_files`: also paths and the agent.

    Raises:
        UsageError: it is not; the hint says what to allow.
    """
    flags: dict[str, str] = {}
    for name, need in needs.items():
        if need.insecure and not given.insecure:
            flags.setdefault("security.insecure", name)
        if need.delete and not given.delete:
            flags.setdefault("buildx.local.delete", name)
        if not guards_files:
            continue
        if need.ssh and not given.ssh:
            flags.setdefault("ssh", name)
        for key, paths, allowed in (("fs.read", need.read, given.read), ("fs.write", need.write, given.write)):
            for path in _outside(paths, allowed, environment):
                flags.setdefault(f"{key}={path}", name)
    if not flags:
        return
    names = list(dict.fromkeys(flags.values()))
    who = f"target {names[0]} asks" if len(names) == 1 else f"targets {', '.join(names)} ask"
    raise UsageError(
        f"{who} for more than is allowed: {', '.join(flags)}",
        hint=f"if the bake file is to be trusted, add {' '.join(f'--allow {flag}' for flag in flags)}",
    )


def _outside(paths: Iterable[str], allowed: Iterable[str], environment: Environment) -> list[str]:
    """The paths that are in none of the allowed ones, nor in the working directory."""
    if "*" in allowed:
        return []
    roots = [environment.working_directory.resolve(), *(environment.path(one).resolve() for one in allowed)]
    found: dict[Path, str] = {}
    for path in paths:
        real = environment.path(path).resolve()
        if not any(real.is_relative_to(root) for root in roots):
            found.setdefault(real, str(real))
    return list(found.values())
