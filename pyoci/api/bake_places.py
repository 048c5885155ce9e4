"""Where the context, the Dockerfile and the named contexts of a target are, as `pyoci build` would be told.

    context       of a local bake file      of a remote one             `cwd://DIR`     a URL
    is            a directory here          a directory of it           one here        itself
    Dockerfile    in the context, wherever that is; `cwd://FILE` is a file here

Spec: docker/buildx docs/bake-reference.md#targetcontext; where it leaves a choice, buildx v0.36.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from pyoci.api.bake_remote import Remote, git_host, is_remote
from pyoci.bake.target import Target
from pyoci.errors import UsageError
from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["Places", "places_of", "uses_git_secrets"]

_HERE = "cwd://"
_OTHERS = ("target:", "docker-image:")
_IMAGES_HERE = ("oci-layout://", "oci-archive:", "docker-archive:")
_MACHINE = "host:"
_LAYOUT = regex(r"([^:@]|[:@](?=[^:@/]*/))*")
"""The path of a layout, without the tag or digest behind it."""


@dataclass(frozen=True, slots=True)
class Places:
    """What a build reads."""

    context: str
    file: str
    """The Dockerfile."""
    contexts: Mapping[str, str] = field(hash=False)
    """Named ones, `target:NAME` among them."""
    local: tuple[str, ...]
    """Paths of this machine that are read."""


def places_of(target: Target, remote: Remote | None = None) -> Places:
    """Where a target's files are.

    Raises:
        UsageError: one would come from standard input, or a remote definition leaves open which Dockerfile it means.
    """
    inside = remote if remote is not None and remote.kind != "file" else None
    given, dockerfile = target.context or ".", target.dockerfile or "Dockerfile"
    if given == "-":
        raise UsageError("the context cannot come from standard input", hint="name a directory")
    if dockerfile == "-":
        raise UsageError("the Dockerfile cannot come from standard input", hint="name a file, or write it inline")
    local: list[str] = []
    context = _placed(given, inside, local)
    contexts = {name: _placed(value, inside, local) for name, value in (target.contexts or {}).items() if value}
    here = given.startswith(_HERE) or inside is None
    if dockerfile.startswith(_HERE):
        file = posixpath.normpath(dockerfile.removeprefix(_HERE))
        local.append(file)
    elif is_remote(dockerfile):
        file = dockerfile
    elif inside is not None and here and target.dockerfile_inline is None:
        raise UsageError(
            f'the Dockerfile "{dockerfile}" of a context here cannot come from {inside.kind} definitions',
            hint=f'name it with dockerfile = "cwd://{dockerfile}", or write it inline',
        )
    else:
        file = posixpath.normpath(dockerfile)
        if here and not is_remote(context):
            file = posixpath.normpath(posixpath.join(context, file))
            local.append(file)
    if target.dockerfile_inline is not None:
        local = [path for path in local if path != file]
    return Places(context, file, contexts, tuple(dict.fromkeys(local)))


def _placed(value: str, inside: Remote | None, local: list[str]) -> str:
    """A context as `pyoci build` calls it; a path of this machine is noted."""
    if value.startswith(_OTHERS) or is_remote(value):
        return value
    if value.startswith(_MACHINE):
        local.append("/")
        return value
    for kind in _IMAGES_HERE:
        if value.startswith(kind):
            named = _LAYOUT.match(value.removeprefix(kind))
            local.append(named[0] if named else "/")
            return value
    if value.startswith(_HERE) or inside is None:
        path = posixpath.normpath(value.removeprefix(_HERE) or ".")
        local.append(path)
        return path
    return inside.context(value)


def uses_git_secrets(context: str, remote: Remote | None) -> bool:
    """Whether the secrets for a remote definition's repository are for this context too: it is on the same host."""
    return remote is not None and bool(git_host(remote.url)) and git_host(context) == git_host(remote.url)
