"""A control group for one run, where a limit on memory or processes was asked for.

Version 2 where it is mounted with the controllers that are needed, else version 1. Part of the worker.
Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, cgroup-v1/pids.rst.
"""

from __future__ import annotations

import errno
import os
import time

from pyoci.sandbox.failure import Failure, reason_of

__all__ = ["Cgroup", "make", "wanted"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.sandbox.messages import LimitsMessage

_HINT = "run pyoci as root, or in a cgroup of its own: `systemd-run --user --scope -p Delegate=yes pyoci …`"


class Cgroup:
    """The directories of one run's cgroup: one in version 2, one for each controller in version 1, or none."""

    def __init__(self, directories: list[str]) -> None:
        self._directories = directories

    def enter(self, process: int) -> None:
        """Puts a process into it, and with it every process that it will start.

        Raises:
            Failure: it may not be put there.
        """
        for directory in self._directories:
            try:
                _write(f"{directory}/cgroup.procs", str(process))
            except OSError as error:
                raise Failure(f"cannot enter the cgroup: {reason_of(error)}", _HINT) from error

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory."""
        for directory in self._directories:
            for name in ("memory.events", "memory.oom_control"):
                for line in _read(f"{directory}/{name}").splitlines():
                    if line.startswith("oom_kill ") and line.split()[1] != "0":
                        return True
        return False

    def remove(self) -> None:
        """Removes it; the kernel may need a moment to let go of dead processes."""
        for directory in self._directories:
            for _ in range(50):
                try:
                    os.rmdir(directory)
                except OSError as error:
                    if error.errno == errno.EBUSY:
                        time.sleep(0.01)
                        continue
                break


def wanted(limits: LimitsMessage) -> bool:
    """Whether the limits need a cgroup."""
    return bool(limits["memory_bytes"] or limits["pids"] or limits["cgroup_parent"])


def make(limits: LimitsMessage, process: str = "/proc/self") -> Cgroup:
    """A cgroup with the limits; one without directories where none is asked for.

    `process` is the directory that tells where cgroups are mounted, and which this process is in.

    Raises:
        Failure: a limit cannot be kept here.
    """
    asked = {name: limit for name, limit in (("memory", limits["memory_bytes"]), ("pids", limits["pids"])) if limit}
    if not wanted(limits):
        return Cgroup([])
    name = f"pyoci-{os.getpid()}-{time.monotonic_ns():x}"
    mounts, own = _mounts(process), _own(process)
    unified = mounts.get("", "")
    if unified and set(asked) <= set(_read(f"{unified}/cgroup.controllers").split()):
        return _make_unified(unified, own.get("", "/"), limits["cgroup_parent"], name, asked)
    missing = [controller for controller in asked if controller not in mounts]
    if missing:
        raise Failure(f"no cgroup can limit {' and '.join(missing)} on this machine", _HINT)
    made: list[str] = []
    for controller in asked or [next((known for known in mounts if known), "")]:
        base = f"{mounts[controller]}/{(limits['cgroup_parent'] or own.get(controller, '')).strip('/')}"
        made.append(_make_directory(base, name, made))
        try:
            for file, value in _settings_v1(controller, asked.get(controller, 0)):
                _write(f"{made[-1]}/{file}", value)
        except OSError as error:
            Cgroup(made).remove()
            raise Failure(f"cannot limit {controller}: {reason_of(error)}", _HINT) from error
    return Cgroup(made)


def _settings_v1(controller: str, value: int) -> list[tuple[str, str]]:
    if not value:
        return []
    return [("memory.limit_in_bytes", str(value))] if controller == "memory" else [("pids.max", str(value))]


def _make_unified(mountpoint: str, own: str, parent: str, name: str, wanted: dict[str, int]) -> Cgroup:
    if parent:
        base = f"{mountpoint}/{parent.strip('/')}"
    else:
        # The root when it may be written to: it may have processes and children both, and nobody is moved.
        base = (
            mountpoint if os.access(f"{mountpoint}/cgroup.subtree_control", os.W_OK) else mountpoint + own.rstrip("/")
        )
    made: list[str] = []
    try:
        _hand_down(base, wanted, leave=not parent)
        made.append(_make_directory(base, name, []))
        if "memory" in wanted:
            _write(f"{made[0]}/memory.max", str(wanted["memory"]))
            if os.path.exists(f"{made[0]}/memory.swap.max"):
                _write(f"{made[0]}/memory.swap.max", "0")
        if "pids" in wanted:
            _write(f"{made[0]}/pids.max", str(wanted["pids"]))
    except OSError as error:
        Cgroup(made).remove()
        raise Failure(f"cannot limit {' and '.join(wanted)}: {reason_of(error)}", _HINT) from error
    return Cgroup(made)


def _hand_down(base: str, wanted: dict[str, int], *, leave: bool) -> None:
    """Enables controllers for the children of a cgroup."""
    for controller in wanted:
        if controller in _read(f"{base}/cgroup.subtree_control").split():
            continue
        try:
            _write(f"{base}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY or not leave:
                raise
            _leave(base)
            _write(f"{base}/cgroup.subtree_control", f"+{controller}")


def _leave(base: str) -> None:
    """Moves every process of a delegated cgroup into a child of it, as version 2 wants before it has other children."""
    leaf = f"{base}/pyoci-builder"
    os.makedirs(leaf, exist_ok=True)
    for process in _read(f"{base}/cgroup.procs").split():
        _write(f"{leaf}/cgroup.procs", process)


def _make_directory(base: str, name: str, made: list[str]) -> str:
    directory = f"{base.rstrip('/')}/{name}"
    try:
        os.makedirs(directory)
    except OSError as error:
        Cgroup(made).remove()
        raise Failure(f'cannot make a cgroup below "{base}": {reason_of(error)}', _HINT) from error
    return directory


def _mounts(process: str) -> dict[str, str]:
    """Where each controller of version 1 is mounted, and version 2 under the empty name."""
    found: dict[str, str] = {}
    for line in _read(f"{process}/mounts").splitlines():
        _, mountpoint, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.setdefault("", mountpoint)
        elif kind == "cgroup":
            for option in options.split(","):
                if option in ("memory", "pids"):
                    found.setdefault(option, mountpoint)
    return found


def _own(process: str) -> dict[str, str]:
    """The cgroup of the process for each controller, by the same names."""
    found: dict[str, str] = {}
    for line in _read(f"{process}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    # O_CREAT changes nothing here: where there is no such file, the kernel lets nobody make one.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
