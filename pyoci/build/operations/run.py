"""RUN: a root file system, a process in the sandbox, and what it changed.

The only operation that unpacks layers. What changed stays an upper directory (DESIGN D13).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from pyoci.build.agents import Agents
from pyoci.build.filesystem import Filesystem, Result
from pyoci.build.operations.certificates import (
    certificate_mounts,
    certificate_variables,
    refuse_kept_certificates,
)
from pyoci.build.operations.mounts import prepared_mounts
from pyoci.build.operations.users import Account, run_account
from pyoci.build.secrets import Secrets
from pyoci.build.steps import RunStep
from pyoci.build.trees import Trees
from pyoci.errors import CommandFailed, SandboxError
from pyoci.sandbox.protocols import NO_LIMITS, Captured, Limits, Process, Sandbox
from pyoci.snapshot.protocols import Snapshotter
from pyoci.snapshot.protocols import Stacked as Own
from pyoci.store import Store
from pyoci.values import dataclass, field

__all__ = ["RunServices", "run_command"]

_TAIL_LINES = 20
_LINE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class RunServices:
    """What RUN works with."""

    store: Store
    trees: Trees
    snapshotter: Snapshotter
    sandbox: Callable[[], Sandbox]
    """Made when the first RUN really executes."""
    begin_sandbox: Callable[[], None]
    """Begins with that, and does not wait."""
    secrets: Secrets
    agents: Agents
    cancelled: threading.Event
    proxy_env: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    limits: Limits = NO_LIMITS
    ca_bundle: bytes = field(default=b"", repr=False)
    """Certificates that every RUN is shown."""


@dataclass(slots=True)
class _Tail:
    """The last lines of an output."""

    lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    open_line: bytes = b""

    def add(self, data: bytes) -> None:
        *lines, rest = (self.open_line + data).split(b"\n")
        self.lines.extend(line[:_LINE_LIMIT] for line in lines)
        self.open_line = rest[:_LINE_LIMIT]

    def text(self) -> list[str]:
        lines = [*self.lines, *([self.open_line] if self.open_line else [])]
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in lines]


def run_command(step: RunStep, inputs: Sequence[Result], services: RunServices, output: Callable[[bytes], None]) -> Own:
    """Runs the step and keeps what it changed.

    Raises:
        CommandFailed: it exited with another status than 0; nothing is kept.
        SandboxError, Cancelled, BuildError, ContentError, LayerError.
    """
    parent = inputs[0]
    assert isinstance(parent, Filesystem)
    services.begin_sandbox()  # while layers of the base arrive, and what is known of them is read
    services.snapshotter.unpack(parent.stack)  # before the tree, for which a new layer would be read a second time
    tree, bundle = services.trees.of(parent), services.ca_bundle
    account = run_account(tree, step.user)
    targets = {mount.target for mount in step.mounts}
    tail = _Tail()

    def both(data: bytes) -> None:
        tail.add(data)
        output(data)

    sandbox = services.sandbox()
    if parent.mounts and sandbox.mode == "chroot":
        raise SandboxError(
            "a stage that starts from host: cannot run here: it needs mounts, which chroot mode cannot make",
            hint="start it from an image, or see `pyoci doctor` for a better mode",
        )
    with (
        prepared_mounts(
            step,
            inputs,
            snapshotter=services.snapshotter,
            store=services.store,
            secrets=services.secrets,
            agents=services.agents,
            mode=sandbox.mode,
        ) as prepared,
        services.snapshotter.checkout(parent.stack) as rootfs,
    ):
        status = sandbox.run(
            _process(step, account, (*services.proxy_env, *certificate_variables(bundle), *step.env, *prepared.env)),
            rootfs.root,
            (*parent.mounts, *certificate_mounts(bundle, tree, targets), *prepared.mounts),
            network=step.network,
            stdio=Captured(both),
            cancelled=services.cancelled,
            timeout_seconds=services.timeout_seconds,
            limits=services.limits,
        )
        if status != 0:
            raise CommandFailed(
                f'process "{" ".join(step.args)}" did not complete successfully: exit code: {status}',
                status=status,
                output_tail=tail.text(),
                hint=_HINTS.get(status),
            )
        own = rootfs.keep()
    if bundle:
        refuse_kept_certificates(bundle, tree, services.trees.changes(own))
    return own


def _process(step: RunStep, account: Account, env: tuple[str, ...]) -> Process:
    if not any(entry.startswith("HOME=") for entry in env):
        env = (*env, f"HOME={account.home}")
    return Process(
        args=step.args,
        env=env,
        cwd=step.cwd,
        uid=account.uid,
        gid=account.gid,
        groups=account.groups,
        hostname=step.hostname,
        insecure=step.insecure,
    )


_HINTS = {
    124: "it took longer than --step-timeout allows",
    126: "the file exists but cannot be executed: check its mode and, for a script, its first line",
    127: "the command was not found: check its spelling, PATH, and whether the base image has it",
    137: "it was killed: by the step's time limit, or by the kernel for lack of memory",
}
