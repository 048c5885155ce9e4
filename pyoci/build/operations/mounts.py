"""`RUN --mount`: from steps to what the sandbox mounts, with the locks that cache mounts need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import assert_never

from pyoci.build.agents import Agents
from pyoci.build.filesystem import Filesystem, Result
from pyoci.build.secrets import Secrets
from pyoci.build.steps import (
    BindMountStep,
    CacheMountStep,
    RunStep,
    SecretMountStep,
    SshMountStep,
    TmpfsMountStep,
)
from pyoci.errors import BuildError
from pyoci.sandbox.protocols import BindMount, FileMount, Mode, Mount, SocketMount, TmpfsMount
from pyoci.snapshot.protocols import Snapshotter
from pyoci.store import Store
from pyoci.values import dataclass

__all__ = ["PreparedMounts", "prepared_mounts"]

_SCRIPT_DIRECTORY = "/dev/pipes"
_SECRET_DIRECTORY = "/run/secrets"
_AGENT_DIRECTORY = "/run/buildkit"


@dataclass(frozen=True, slots=True)
class PreparedMounts:
    """What one RUN gets besides its root."""

    mounts: tuple[Mount, ...]
    env: tuple[str, ...]
    """Secrets given as variables: for the process alone."""


@contextmanager
def prepared_mounts(
    step: RunStep,
    inputs: Sequence[Result],
    *,
    snapshotter: Snapshotter,
    store: Store,
    secrets: Secrets,
    agents: Agents,
    mode: Mode,
) -> Iterator[PreparedMounts]:
    """The mounts of a RUN, as long as the block runs.

    Raises:
        BuildError: a secret or agent that the step requires was not given.
    """
    mounts: list[Mount] = []
    env: list[str] = []
    with ExitStack() as stack:
        for file in step.files:
            content = file.content.encode("utf-8", "surrogateescape")
            mounts.append(FileMount(f"{_SCRIPT_DIRECTORY}/{file.name}", content, mode=0o755))
        for mount in step.mounts:
            match mount:
                case BindMountStep():
                    source = inputs[mount.input]
                    assert isinstance(source, Filesystem)
                    root = stack.enter_context(snapshotter.view(source.stack))
                    mounts.append(
                        BindMount(mount.target, root, mount.source, "discard" if mount.writable else "read-only")
                    )
                case CacheMountStep():
                    mounts.append(_cache(mount, inputs, stack, snapshotter, store, mode))
                case TmpfsMountStep():
                    mounts.append(TmpfsMount(mount.target, mount.size))
                case SecretMountStep():
                    _secret(mount, secrets, mounts, env)
                case SshMountStep():
                    _ssh(mount, agents, mounts, env)
                case _:
                    assert_never(mount)
        yield PreparedMounts(tuple(mounts), tuple(env))


def _cache(
    mount: CacheMountStep,
    inputs: Sequence[Result],
    stack: ExitStack,
    snapshotter: Snapshotter,
    store: Store,
    mode: Mode,
) -> BindMount:
    """A directory of the store. `locked` waits for whoever has it, `private` takes the first that nobody has.

    Each mode has its own, since the files belong to its IDs; so has each beginning (`from`).
    """
    seed = inputs[mount.input] if mount.input is not None else None
    name = f"{mode} {mount.id}" if seed is None else f"{mode} {mount.id} {seed.result_id}"
    if mount.sharing == "locked":
        stack.enter_context(store.lock_file(f"mount {name}"))
    if mount.sharing == "private":
        name = stack.enter_context(store.private_name(f"mount {name}"))
    owner = (mount.uid, mount.gid, mount.mode)
    if seed is None:
        source = store.mount_path(name)
    else:
        assert isinstance(seed, Filesystem)
        source = snapshotter.seed(seed.stack, store.mount_path(name) / "seeded")
    return BindMount(mount.target, source, "", "read-only" if mount.read_only else "read-write", owner)


def _ssh(mount: SshMountStep, agents: Agents, mounts: list[Mount], env: list[str]) -> None:
    """A socket that leads to an agent; SSH_AUTH_SOCK names the first one, as in BuildKit."""
    socket = agents.get(mount.id)
    if socket is None:
        if mount.required:
            raise BuildError(f'no ssh agent was given for "{mount.id}"', hint=f"build with --ssh {mount.id}")
        return
    number = sum(isinstance(known, SocketMount) for known in mounts)
    target = mount.target or f"{_AGENT_DIRECTORY}/ssh_agent.{number}"
    mounts.append(SocketMount(target, socket, mode=mount.mode, uid=mount.uid, gid=mount.gid))
    if not any(entry.startswith("SSH_AUTH_SOCK=") for entry in env):
        env.append(f"SSH_AUTH_SOCK={target}")


def _secret(mount: SecretMountStep, secrets: Secrets, mounts: list[Mount], env: list[str]) -> None:
    value = secrets.get(mount.id)
    if value is None:
        if mount.required:
            raise BuildError(
                f'secret "{mount.id}" was not given',
                hint=f"build with --secret id={mount.id},src=FILE or ,env=VARIABLE",
            )
        return
    if mount.env:
        env.append(f"{mount.env}={value.decode('utf-8', 'surrogateescape')}")
    target = mount.target or ("" if mount.env else f"{_SECRET_DIRECTORY}/{mount.id.rpartition('/')[2]}")
    if target:
        mounts.append(FileMount(target, value, mode=mount.mode, uid=mount.uid, gid=mount.gid))
