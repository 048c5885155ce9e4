"""/dev, /proc and /sys of a sandbox, and what is hidden in them.

The lists are those of moby (daemon/pkg/oci/defaults.go, profiles of masked and read-only paths) and of runtime-spec
config-linux.md#default-devices and #default-filesystems. Part of the worker.
"""

from __future__ import annotations

import os

from pyoci.sandbox import mounting
from pyoci.sandbox.failure import Attempt, Failure
from pyoci.sandbox.mounting import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY

__all__ = ["SYSTEM_DIRECTORIES", "mask", "mount_system"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.sandbox.rootfs import Stage

SYSTEM_DIRECTORIES = ("/dev", "/proc", "/sys")

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
_HIDDEN = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def mount_system(stage: Stage, *, shm_bytes: int, terminal_group: bool, own_network: bool, writable: bool) -> None:
    """Mounts /dev, /proc and /sys in the root of the stage.

    `terminal_group` is whether group 5 (tty) exists in the namespace, `writable` leaves /sys so.
    """
    devices = {name: mounting.open_path(f"/dev/{name}") for name in _DEVICES}
    for directory in SYSTEM_DIRECTORIES:
        descriptor, path = stage.place(directory, directory=True)
        os.close(descriptor)
        if path != stage.path + directory:
            raise Failure(f'"{directory}" of the image is a symlink; a directory is needed')
        match directory:
            case "/dev":
                _mount_dev(path, devices, shm_bytes, terminal_group=terminal_group)
            case "/proc":
                _mount_proc(path)
            case _:
                _mount_sys(path, own=own_network or not stage.user, writable=writable)
    for descriptor in devices.values():
        os.close(descriptor)


def _mount_dev(dev: str, devices: Mapping[str, int], shm_bytes: int, *, terminal_group: bool) -> None:
    with Attempt("cannot mount /dev"):
        mounting.mount("tmpfs", dev, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=65536k")
        for name, source in devices.items():
            path = f"{dev}/{name}"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            target = mounting.open_path(path)
            mounting.bind(source, target, path, read_only=False)
            os.close(target)
        for name, link in _LINKS:
            os.symlink(link, f"{dev}/{name}")
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(f"{dev}/{name}", 0o755)
        options = "newinstance,ptmxmode=0666,mode=0620" + (",gid=5" if terminal_group else "")
        mounting.mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, options)
        safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
        mounting.mount("shm", f"{dev}/shm", "tmpfs", safe, f"mode=1777,size={shm_bytes}")
    try:
        mounting.mount("mqueue", f"{dev}/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        return  # a kernel without POSIX message queues


def _mount_proc(path: str) -> None:
    try:
        mounting.mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        return
    except PermissionError:
        pass  # parts of /proc are covered out here, as in a container: the kernel shows no fresh one then
    _copy("/proc", path, read_only=False)


def _mount_sys(path: str, *, own: bool, writable: bool) -> None:
    """`own` is whether the network namespace belongs to this user namespace, which sysfs asks for."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (0 if writable else MS_RDONLY)
    if own:
        try:
            mounting.mount("sysfs", path, "sysfs", flags)
        except PermissionError:
            own = False
    if not own:
        _copy("/sys", path, read_only=not writable)
        return
    try:
        mounting.mount("cgroup", path + "/fs/cgroup", "cgroup2", flags)
    except OSError:
        return  # cgroups version 1, or none


def _copy(source: str, target: str, *, read_only: bool) -> None:
    with Attempt(f"cannot show {source}"):
        opened, place = mounting.open_path(source), mounting.open_path(target)
        if read_only:
            tree = mounting.clone(opened, MS_RDONLY)
            if tree is None:
                # Nothing keeps what is mounted in it from being written to, before Linux 5.12.
                mounting.mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
                return
            mounting.attach(tree, place)
            os.close(tree)
        else:
            mounting.bind(opened, place, target, read_only=False)
        os.close(opened)
        os.close(place)


def mask() -> None:
    """Hides and write-protects what docker does, once the root of this namespace is the sandbox's.

    Raises:
        Failure: something that exists cannot be hidden.
    """
    null = mounting.open_path("/dev/null")
    for path in _HIDDEN:
        with Attempt(f"cannot hide {path}"):
            try:
                target = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            if os.path.isdir(path):
                mounting.mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k")
            else:
                mounting.bind(null, target, path, read_only=False)
            os.close(target)
    os.close(null)
    for path in _READ_ONLY:
        with Attempt(f"cannot write-protect {path}"):
            try:
                target = mounting.open_path(path, follow=False)
            except FileNotFoundError:
                continue
            mounting.bind(target, target, path, read_only=True)
            os.close(target)
