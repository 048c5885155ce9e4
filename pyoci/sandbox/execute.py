"""The operation that runs one process: the monitor, a child of the worker for each run.

It stays outside of the sandbox's PID and mount namespaces, forks PID 1 into them (`container.py`), keeps the time,
hears the builder, answers the recorder's questions, carries bytes for socket mounts, and afterwards takes away what the
run needed and nobody keeps. When it dies, PID 1 and with it the whole sandbox die.

Part of the worker.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time

from pyoci.sandbox import cgroups, chroot, container, kernel, mounts
from pyoci.sandbox.failure import Attempt, Failure
from pyoci.sandbox.owner_records import OwnerRecords, append
from pyoci.sandbox.recorder import Recorder
from pyoci.sandbox.socket_proxy import SocketProxy
from pyoci.sandbox.wire import Channel, Closed, socketpair

__all__ = ["Monitor", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from pyoci.sandbox.messages import RootMessage, RunReply, RunRequest
    from pyoci.sandbox.rootfs import Made
else:
    import _signal


_TIMED_OUT = 124


def run(request: RunRequest, descriptors: list[int]) -> RunReply:
    """Runs one process to its end.

    Raises:
        Failure: the sandbox could not be set up; nothing is left of it.
    """
    conversation = Channel.from_descriptor(descriptors[0])
    stdio = descriptors[1:]
    cgroup = cgroups.make(request["limits"])
    try:
        ours, theirs = socketpair()
        in_namespaces = request["mode"] != "chroot"
        with Attempt("cannot make a PID namespace"):
            if in_namespaces:
                kernel.unshare(kernel.CLONE_NEWPID)
            init = os.fork()
        if init == 0:
            ours.close()
            conversation.close()
            (container if in_namespaces else chroot).main(request, theirs, stdio)
        theirs.close()
        cgroup.enter(init)
        if cgroups.wanted(request["limits"]):
            ours.send("entered")
        monitor = Monitor(request, init, ours, conversation, stdio[-1] if stdio else -1)
        try:
            return monitor.watch(cgroup)
        finally:
            monitor.clean()
    finally:
        cgroup.remove()


class _Inside:
    """Has paths lead to where they lead in the sandbox, as the recorder needs them, and back.

    Nothing can be imported in there: what looks like one of Python's own directories would be the command's.
    """

    def __init__(self) -> None:
        os.chdir("/proc")  # the host's, for paths that begin with the ID of a process, wherever the root is
        self._way_back = -1
        self._importers = sys.meta_path[:]

    def enter(self, root: int) -> None:
        self._way_back = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        processes = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sys.meta_path.clear()
        os.umask(0)
        with Attempt("cannot enter the root file system to record owners"):
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(processes)
        os.close(processes)
        os.close(root)

    def leave(self) -> None:
        if self._way_back >= 0:
            os.fchdir(self._way_back)
            os.chroot(".")
            os.umask(0o022)
            sys.meta_path[:] = self._importers


class Monitor:
    """Waits for everything at once, in one thread."""

    def __init__(self, request: RunRequest, init: int, link: Channel, conversation: Channel, output: int) -> None:
        self._request = request
        self._init = init
        self._link = link
        self._conversation = conversation
        self._output = output
        self._failure: Failure | None = None
        self._made: list[Made] = []
        self._notes: list[str] = []
        self._recorder: Recorder | None = None
        self._timed_out = False
        timeout = request["timeout_seconds"]
        self._kill_signal = _signal.SIGKILL if request["mode"] != "chroot" else chroot.END
        self._end_at = time.monotonic() + timeout if timeout else 0.0
        self._kill_at = 0.0
        self._inside = _Inside()
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}

    def watch(self, cgroup: cgroups.Cgroup) -> RunReply:
        """How it ended. Every process of the sandbox is dead then."""
        self.listen(self._link.fileno(), self._hear_init)
        self.listen(self._conversation.fileno(), self._hear_builder)
        try:
            while self._handlers.get(self._link.fileno()):
                for descriptor, _ in self._poll.poll(self._wait_milliseconds()):
                    handler = self._handlers.get(descriptor)
                    if handler is not None:
                        handler()
                self._keep_time()
        finally:
            self._inside.leave()
        _, status = os.waitpid(self._init, 0)
        if self._failure is not None:
            raise self._failure
        code = os.waitstatus_to_exitcode(status)
        code = code if code >= 0 else 128 - code
        if self._timed_out:
            code = _TIMED_OUT
            self._tell(f"ended after {self._request['timeout_seconds']:g} seconds, the time that it was given")
        elif cgroup.ran_out_of_memory():
            self._tell(f"killed at the memory limit of {self._request['limits']['memory_bytes']} bytes")
        return {"status": code, "notes": self._notes}

    def listen(self, descriptor: int, handler: Callable[[], None], events: int = select.POLLIN) -> None:
        """Calls the handler whenever the descriptor is ready, until `ignore`."""
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, events)

    def ignore(self, descriptor: int) -> None:
        """Forgets a descriptor."""
        del self._handlers[descriptor]
        self._poll.unregister(descriptor)

    def clean(self) -> None:
        """Takes away what the run needed and nobody keeps."""
        request, root = self._request, self._request["root"]
        if self._recorder is not None:
            self._recorder.save()
        if root["owners"] and request["mode"] == "single" and request["uid"]:
            append(root["owners"], f"default {request['uid']} {request['gid']}\n")
        if self._made:
            _remove_mount_points(root["path"] or root["upper"], self._made)
        if root["work"]:
            _remove_throwaways(root)

    def _hear_init(self) -> None:
        try:
            message, descriptors = self._link.receive()
        except Closed:
            self.ignore(self._link.fileno())
            return
        match message:
            case ("error", str(text), str(hint)):
                self._failure = self._failure or Failure(text, hint)
            case ("note", str(note)):
                self._notes.append(note)
            case ("made", list(made)):
                self._made = made
            case ("sockets",):
                wanted = sorted(self._request["mounts"], key=lambda mount: mounts.depth(mount["target"]))
                sources = [mount["source"] for mount in wanted if mount["kind"] == "socket"]
                for listener, source in zip(descriptors, sources, strict=True):
                    SocketProxy(self, listener, source)
            case ("terminal",):
                self._conversation.send(("terminal",), descriptors)
                os.close(descriptors[0])
            case ("listener", bool(in_use)):
                self._start_recorder(descriptors if in_use else [])
            case _:
                raise AssertionError(f"an unknown message from PID 1: {message!r}")

    def _start_recorder(self, descriptors: list[int]) -> None:
        recorder = self._request["recorder"]
        assert recorder is not None
        if descriptors:
            listener, root = descriptors
            records = OwnerRecords(recorder, self._request["root"])
            self._inside.enter(root)
            self._recorder = Recorder(listener, recorder, records)
            self.listen(listener, self._answer_recorder)
        elif recorder["fallback"]:
            self._notes.append("owners are not recorded here: every new file belongs to 0:0")

    def _answer_recorder(self) -> None:
        assert self._recorder is not None
        if not self._recorder.answer():
            self.ignore(self._recorder.listener)

    def _hear_builder(self) -> None:
        try:
            self._conversation.receive()
        except Closed:
            self.ignore(self._conversation.fileno())
            self._signal(self._kill_signal)
            return
        self._end()

    def _end(self) -> None:
        """Asks the command to end, and has `_keep_time` kill everything if it does not."""
        if not self._kill_at:
            self._signal(_signal.SIGTERM)
            self._kill_at = time.monotonic() + self._request["grace_seconds"]

    def _signal(self, number: int) -> None:
        os.kill(self._init, number)  # not reaped before the link is closed, so still its ID

    def _wait_milliseconds(self) -> int | None:
        ends = [end for end in (self._end_at, self._kill_at) if end]
        if not ends:
            return None
        return max(0, round((min(ends) - time.monotonic()) * 1000) + 1)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._end_at and now >= self._end_at:
            self._end_at = 0.0
            self._timed_out = True
            self._end()
        if self._kill_at and now >= self._kill_at:
            self._kill_at = now + 1  # again, should it ever be lost
            self._signal(self._kill_signal)

    def _tell(self, message: str) -> None:
        if self._output >= 0:
            os.write(self._output, f"pyoci: {message}\n".encode())
        else:
            self._notes.append(message)


def _remove_mount_points(base: str, made: list[Made]) -> None:
    """Removes mount points that were made in the root itself, where nothing was put into them meanwhile."""
    for paths, before, after in reversed(made):
        parent = _open_real(base, paths[0][:-1])
        if parent is None:
            continue
        untouched = os.stat(parent).st_mtime_ns == after
        for components in reversed(paths):
            directory = _open_real(base, components[:-1])
            if directory is None:
                continue
            try:
                status = os.stat(components[-1], dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(components[-1], dir_fd=directory)
                elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
                    os.unlink(components[-1], dir_fd=directory)
            except OSError:
                pass  # in use for something else by now: it is the command's, and stays
            os.close(directory)
        if untouched:
            os.utime(f"/proc/self/fd/{parent}", ns=(before, before))
        os.close(parent)


def _open_real(base: str, components: list[str]) -> int | None:
    """A directory below `base`, reached through no symlink; None where there is none any more."""
    descriptor = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for component in components:
        try:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            deeper = os.open(component, flags, dir_fd=descriptor)
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)
        descriptor = deeper
    return descriptor


def _remove_throwaways(root: RootMessage) -> None:
    work = os.open(root["work"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in os.listdir(work):
        if name.startswith("discard-"):
            _remove_tree(work, name)
    os.close(work)


def _remove_tree(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
        return
    except IsADirectoryError:
        pass
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    inside = os.open(name, flags, dir_fd=directory)
    try:
        for entry in os.listdir(inside):
            _remove_tree(inside, entry)
    finally:
        os.close(inside)
    os.rmdir(name, dir_fd=directory)
