"""`run`: an image's process in the same sandbox that build steps use. What it writes is thrown away afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pyoci.api.services import Options, Services, opened
from pyoci.api.transfer import find_image
from pyoci.build.config_effects import joined_path, set_variable
from pyoci.build.filesystem import SCRATCH, Filesystem
from pyoci.build.operations.users import run_account
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import ContainerConfig, Image
from pyoci.reference import parse_reference
from pyoci.resolver import read_image
from pyoci.sandbox.protocols import Attached, BindMount, Process, Stdio, Terminal
from pyoci.values import dataclass, field

__all__ = ["RunRequest", "run", "volume"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `pyoci run` was asked for. Names and meanings are `docker run`'s."""

    image: str
    command: tuple[str, ...] = ()
    """Instead of the image's CMD."""
    entrypoint: str | None = None
    """Instead of the image's; empty takes it away."""
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    user: str = ""
    workdir: str = ""
    hostname: str = "pyoci"
    network: Literal["host", "none"] = "host"
    volumes: tuple[tuple[str, str, bool], ...] = ()
    """Host path, path in the container, and whether it is read-only."""
    stdin: int | None = None
    """A descriptor that the process reads from; None gives it an empty input."""
    stdout: int = 1
    stderr: int = 2
    terminal: bool = False
    """The process gets a terminal, joined to `stdin` and `stdout`."""


def run(
    image: str | RunRequest, command: Sequence[str] = (), *, options: Options | None = None, **fields: object
) -> int:
    """Runs an image's process and waits for it; returns its exit status (128 + number when a signal ended it).

    `fields` are those of `RunRequest`. An image that the store has not is pulled.

    Raises:
        ContentNotFound, RegistryError: there is no such image.
        UsageError: nothing to run.
        SandboxError: this machine lets this user run no process so.
    """
    request = image if isinstance(image, RunRequest) else _request(image, command, fields)
    options = options or Options()
    with opened(options) as services:
        return _run(request, services)


def _request(image: str, command: Sequence[str], fields: Mapping[str, object]) -> RunRequest:
    return RunRequest(image=image, command=tuple(command), **fields)  # type: ignore[arg-type]


def _image(name: str, services: Services) -> Image:
    here = services.environment.platform
    try:
        _, root = find_image(name, services)
    except ContentNotFound:
        return services.resolver.resolve(parse_reference(name), here).image
    return read_image(root, services.resolver.content, here, name=name, limits=services.limits)


def _arguments(request: RunRequest, config: ContainerConfig) -> tuple[str, ...]:
    entrypoint = config.entrypoint or ()
    command = request.command or config.cmd or ()
    if request.entrypoint is not None:
        entrypoint = (request.entrypoint,) if request.entrypoint else ()
        command = request.command
    arguments = (*entrypoint, *command)
    if not arguments:
        raise UsageError(
            f'no command specified: the image "{request.image}" has neither ENTRYPOINT nor CMD',
            hint="name a command behind the image",
        )
    return arguments


def _run(request: RunRequest, services: Services) -> int:
    image = _image(request.image, services)
    config = image.config.value.config
    filesystem: Filesystem = SCRATCH
    for layer in image.layers:
        filesystem = filesystem.plus(layer)
    account = run_account(services.trees.of(filesystem), request.user or config.user)
    env = config.env
    for name, value in request.env.items():
        env = set_variable(env, name, value)
    if not any(entry.startswith("HOME=") for entry in env):
        env = (*env, f"HOME={account.home}")
    if request.terminal:
        env = env if any(entry.startswith("TERM=") for entry in env) else (*env, "TERM=xterm")
    process = Process(
        args=_arguments(request, config),
        env=env,
        cwd=joined_path("/", request.workdir or config.working_dir or "/"),
        uid=account.uid,
        gid=account.gid,
        groups=account.groups,
        hostname=request.hostname,
    )
    mounts = [
        BindMount(target, services.environment.path(source), "", "read-only" if read_only else "read-write")
        for source, target, read_only in request.volumes
    ]
    with ExitStack() as stack:
        rootfs = stack.enter_context(services.snapshotter.checkout(filesystem.stack))
        return services.sandbox.run(
            process,
            rootfs.root,
            mounts,
            network=request.network,
            stdio=_stdio(request, stack),
            cancelled=services.cancelled,
        )


def _stdio(request: RunRequest, stack: ExitStack) -> Stdio:
    stdin = request.stdin
    if stdin is None:
        stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, stdin)
    if request.terminal:
        return Terminal(stdin, request.stdout)
    return Attached(stdin, request.stdout, request.stderr)


def volume(text: str) -> tuple[str, str, bool]:
    """`HOST:CONTAINER[:ro]` as the fields of `RunRequest.volumes`.

    Raises:
        UsageError: it is malformed.
    """
    parts = text.split(":")
    mode = parts[2] if len(parts) == 3 else "rw"
    if len(parts) not in (2, 3) or not parts[0] or not parts[1].startswith("/") or mode not in ("ro", "rw"):
        raise UsageError(f'invalid volume "{text}"', hint="write -v HOST_PATH:/CONTAINER_PATH[:ro]")
    return str(Path(parts[0])), parts[1], mode == "ro"
