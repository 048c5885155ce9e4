"""The sandbox that runs a process in namespaces of its own, through a worker."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, assert_never, cast

from pyoci.errors import Cancelled, SandboxError
from pyoci.sandbox import filters
from pyoci.sandbox.messages import RecorderMessage, RunReply, RunRequest
from pyoci.sandbox.network_files import hosts_file, resolver_file
from pyoci.sandbox.protocols import (
    NO_LIMITS,
    Attached,
    Captured,
    FileMount,
    Limits,
    Mode,
    Mount,
    Network,
    Process,
    Root,
    Stdio,
    Terminal,
)
from pyoci.sandbox.requests import limits_message, mount_message, root_message
from pyoci.sandbox.terminal import Relay, window_of
from pyoci.sandbox.wire import Channel, Closed, socketpair
from pyoci.sandbox.worker import Call, Worker

__all__ = ["DEVICE_XATTR", "OPERATION", "OWNER_XATTR", "NamespaceSandbox"]

OPERATION = "pyoci.sandbox.execute:run"
OWNER_XATTR = "user.rootlesscontainers"
"""Attribute in which single mode keeps the owner of a file (`ownership.py`)."""
DEVICE_XATTR = "user.pyoci.device"
"""Attribute that makes an empty file stand for a device node (`ownership.py`)."""

_GRACE_SECONDS = 0.3
_LOST_SECONDS = 3.0
"""After a cancellation: when the monitor that should have answered is killed itself."""
_POLL_MILLISECONDS = 50
_CHUNK = 1 << 16
_NOT_ISOLATED = "steps are not isolated here: only chroot(2) is possible; `pyoci doctor` says why and what to change"
_APT_CONFIGURATION = "/dev/pyoci-apt.conf"


class NamespaceSandbox:
    """A `Sandbox`. May be used from several threads; holds nothing but the worker, which the caller closes."""

    def __init__(
        self,
        worker: Worker,
        *,
        resolver_path: Path = Path("/etc/resolv.conf"),
        fuse_overlayfs: str = "",
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        """`warn` is told, once each, what could not be kept as promised. `resolver_path` is read for every run."""
        self._worker = worker
        self._resolver_path = resolver_path
        self._fuse = fuse_overlayfs
        self._warn = warn
        self._warned: set[str] = set()
        self._machine = os.uname().machine

    @property
    def mode(self) -> Mode:
        return self._worker.privilege.mode

    def run(
        self,
        process: Process,
        root: Root,
        mounts: Sequence[Mount],
        *,
        network: Network,
        stdio: Stdio,
        cancelled: threading.Event,
        timeout_seconds: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> int:
        if cancelled.is_set():
            raise Cancelled
        if self.mode == "chroot":
            self._warn_once(_NOT_ISOLATED)
        request = self._request(process, root, mounts, network, limits, timeout_seconds)
        kind, descriptors = _stdio(stdio)
        request["stdio"] = kind
        if isinstance(stdio, Terminal):
            request["window"] = window_of(stdio.stdout)
        reader = writer = -1
        if isinstance(stdio, Captured):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            descriptors = [writer]
        ours, theirs = socketpair()
        try:
            call = self._worker.begin(OPERATION, cast("dict[str, object]", request), [theirs.fileno(), *descriptors])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if writer >= 0:
                os.close(writer)
        with _Run(call, ours, reader, stdio, cancelled) as run:
            reply = run.wait()
        for note in reply["notes"]:
            self._warn_once(note)
        return reply["status"]

    def _request(
        self,
        process: Process,
        root: Root,
        mounts: Sequence[Mount],
        network: Network,
        limits: Limits,
        timeout_seconds: float | None,
    ) -> RunRequest:
        if not process.args:
            raise SandboxError("no command was given")
        environment = list(process.env)
        given = {"/" + mount.target.strip("/") for mount in mounts}
        own: list[Mount] = []
        if "/etc/hosts" not in given:
            own.append(FileMount("/etc/hosts", hosts_file(process.hostname, limits.add_hosts), mode=0o644))
        if "/etc/resolv.conf" not in given:
            own.append(FileMount("/etc/resolv.conf", self._resolver(network), mode=0o644))
        recorder = self._recorder(process)
        if self.mode == "single" and not any(entry.startswith("APT_CONFIG=") for entry in environment):
            # apt checks that it really became _apt, which nobody can where IDs are not emulated.
            own.append(FileMount(_APT_CONFIGURATION, b'APT::Sandbox::User "root";\n', mode=0o444))
            if recorder is not None and recorder["emulates"]:
                recorder["fallback_env"] = [f"APT_CONFIG={_APT_CONFIGURATION}"]
            else:
                environment.append(f"APT_CONFIG={_APT_CONFIGURATION}")
        return {
            "mode": self.mode,
            "args": list(process.args),
            "env": environment,
            "cwd": process.cwd,
            "uid": process.uid,
            "gid": process.gid,
            "groups": list(process.groups),
            "hostname": process.hostname,
            "insecure": process.insecure,
            "root": root_message(root, fuse=self._fuse),
            "mounts": [mount_message(mount, fuse=self._fuse) for mount in (*own, *mounts)],
            "network": network,
            "stdio": "captured",
            "window": (0, 0),
            "timeout_seconds": timeout_seconds or 0.0,
            "grace_seconds": _GRACE_SECONDS,
            "limits": limits_message(limits),
            "filter": b"" if process.insecure else filters.docker_filter(self._machine),
            "recorder": recorder,
        }

    def _resolver(self, network: Network) -> bytes:
        try:
            return resolver_file(self._resolver_path.read_bytes(), network)
        except FileNotFoundError:
            return b""  # a host that names no servers: the resolver's default is then the sandbox's too
        except OSError as error:
            raise SandboxError(f'cannot read "{self._resolver_path}": {error.strerror}') from error

    def _recorder(self, process: Process) -> RecorderMessage | None:
        match self.mode:
            case "single" if process.uid == 0:
                program = filters.recorder_filter(self._machine)
                fallback = filters.fallback_filter(self._machine)
            case "subuid":
                program, fallback = filters.device_filter(self._machine), b""
            case "root" | "single" | "chroot" | "none":
                # With another user in single mode the kernel's own answers are the right ones: that user has no rights.
                return None
            case _:
                assert_never(self.mode)
        return {
            "program": program,
            "fallback": fallback,
            "owner_xattr": OWNER_XATTR,
            "device_xattr": DEVICE_XATTR,
            "emulates": self.mode == "single",
            "groups": list(process.groups),
            "fallback_env": [],
        }

    def _warn_once(self, note: str) -> None:
        if note not in self._warned:
            self._warned.add(note)
            self._warn(note)


def _stdio(stdio: Stdio) -> tuple[Literal["captured", "attached", "terminal"], list[int]]:
    match stdio:
        case Captured():
            return "captured", []
        case Attached():
            return "attached", [stdio.stdin, stdio.stdout, stdio.stderr]
        case Terminal():
            return "terminal", []
        case _:
            assert_never(stdio)


class _Run:
    """One run under way, waited for by the thread that asked for it."""

    def __init__(
        self, call: Call, conversation: Channel, reader: int, stdio: Stdio, cancelled: threading.Event
    ) -> None:
        self._call = call
        self._conversation = conversation
        self._reader = reader
        self._stdio = stdio
        self._cancelled = cancelled
        self._lost_at = 0.0
        self._relay: Relay | None = None
        self._poll = select.poll()
        self._answered = False

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self._relay is not None:
            self._relay.close()
        if not self._answered:
            self._call.kill()
        self._conversation.close()
        if self._reader >= 0:
            os.close(self._reader)

    def wait(self) -> RunReply:
        """How it ended; all of its output has been handed on."""
        self._poll.register(self._call, select.POLLIN)
        self._poll.register(self._conversation, select.POLLIN)
        if self._reader >= 0:
            self._poll.register(self._reader, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(_POLL_MILLISECONDS)}
            if self._reader in ready:
                self._hand_on()
            if self._conversation.fileno() in ready:
                self._hear()
            if self._relay is not None:
                self._relay.carry(ready)
            if self._call.fileno() in ready:
                break
            if self._cancelled.is_set():
                self._cancel()
        self._answered = True
        try:
            reply = self._call.reply()
        finally:
            self._finish_output()
        if self._lost_at:
            raise Cancelled
        return cast("RunReply", reply.values)

    def _hand_on(self) -> None:
        data = os.read(self._reader, _CHUNK)
        if data and isinstance(self._stdio, Captured):
            self._stdio.output(data)
        elif not data:
            self._poll.unregister(self._reader)

    def _finish_output(self) -> None:
        """What is still in the pipe. Everybody who could write to it is dead; not waited for all the same."""
        if self._relay is not None:
            self._relay.drain()
        if self._reader >= 0 and isinstance(self._stdio, Captured):
            os.set_blocking(self._reader, False)
            with contextlib.suppress(BlockingIOError):
                while data := os.read(self._reader, _CHUNK):
                    self._stdio.output(data)

    def _hear(self) -> None:
        try:
            _, descriptors = self._conversation.receive()
        except Closed:
            self._poll.unregister(self._conversation)
            return
        if isinstance(self._stdio, Terminal):
            self._relay = Relay(self._stdio, descriptors[0], self._poll)

    def _cancel(self) -> None:
        now = time.monotonic()
        if not self._lost_at:
            self._lost_at = now + _LOST_SECONDS
            with contextlib.suppress(Closed):
                self._conversation.send(("cancel",))
        elif now > self._lost_at:
            raise Cancelled
