"""System calls that Python's standard library has no name for, as functions that raise OSError.

Mount calls are in `mounting.py`. Part of the worker: imports nothing beyond ctypes. Sources: the Linux manual pages
named like the calls, and include/uapi/linux of the kernel for the numbers.
"""

from __future__ import annotations

import ctypes
import os

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "DOCKER_CAPABILITIES",
    "LAST_CAPABILITY",
    "MACHINE",
    "NUMBERS",
    "SIGCHLD",
    "SIGKILL",
    "chown_descriptor",
    "close_from",
    "close_on_exec_from",
    "die_with_parent",
    "drop_capabilities",
    "forget_session_keyring",
    "install_filter",
    "isolate_abstract_sockets",
    "keep_no_new_privileges",
    "landlock_abi",
    "libc",
    "prctl",
    "reset_signals",
    "set_dumpable",
    "set_subreaper",
    "syscall",
    "unshare",
    "use_capabilities",
]

MACHINE = os.uname().machine

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

SIGKILL = 9
SIGCHLD = 17
_SIGPIPE = 13
_SIGXFSZ = 25
_SIGCANCEL = 32  # of pthreads; posix_spawn leaves these two ignored
_SIGSETXID = 33

# Calls added since Linux 5.0 have one number everywhere (kernel: scripts/syscall.tbl, "common" from 424 on).
_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_OLDER = {
    "x86_64": {
        "pivot_root": 155,
        "keyctl": 250,
        "seccomp": 317,
        "capget": 125,
        "capset": 126,
        "rt_sigaction": 13,
        "rt_sigprocmask": 14,
        "newfstatat": 262,
        "statx": 332,
    },
    "aarch64": {
        "pivot_root": 41,
        "keyctl": 219,
        "seccomp": 277,
        "capget": 90,
        "capset": 91,
        "rt_sigaction": 134,
        "rt_sigprocmask": 135,
        "newfstatat": 79,
        "statx": 291,
    },
}
NUMBERS = {**_COMMON, **_OLDER.get(MACHINE, {})}
"""System call numbers of this machine, by name."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32

_CAPABILITY_VERSION_3 = 0x2008_0522
DOCKER_CAPABILITIES = 0xA804_25FB
"""The 14 capabilities that docker leaves to a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid,
setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap (moby: daemon/pkg/oci/caps/defaults.go)."""

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long


def _raise(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), what)


def syscall(name: str, *arguments: object) -> int:
    """The result of a system call by name. Integers are passed as 64 bits, so that none is cut.

    Raises:
        OSError: with the call's name as its file name; ENOSYS also where this machine's number is not known.
    """
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(38, os.strerror(38), name)
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _syscall(ctypes.c_long(number), *passed)
    if result < 0:
        _raise(name)
    return result


def unshare(flags: int) -> None:
    """Moves this process into new namespaces; NEWPID takes effect for its children only."""
    if libc.unshare(ctypes.c_int(flags)) != 0:
        _raise("unshare")


def prctl(option: int, argument: int = 0, *more: int) -> int:
    """What the kernel answers to an operation on this process."""
    arguments = (argument, *more, 0, 0, 0)[:4]
    result: int = libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(value) for value in arguments))
    if result < 0:
        _raise("prctl")
    return result


def chown_descriptor(descriptor: int, uid: int, gid: int) -> None:
    """As fchown(2), for descriptors that only name a file (O_PATH) too, and for symlinks."""
    if libc.fchownat(ctypes.c_int(descriptor), b"", ctypes.c_uint(uid), ctypes.c_uint(gid), ctypes.c_int(0x1000)) != 0:
        _raise("fchownat")


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the process that forked it dies, and kills it at once if that has happened.

    `parent` is its process ID; 0 for one outside this PID namespace.
    """
    prctl(_PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def set_subreaper() -> None:
    """Makes orphans below this process its own children instead of PID 1's."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reset_signals() -> None:
    """Default handling of the signals that Python and the C library keep to themselves; none blocked.

    Every other one was reset when the worker was started; handlers are reset by execve.
    """
    default = (ctypes.c_uint64 * 4)()  # struct sigaction of the kernel: handler, flags, restorer, mask
    for number in (_SIGPIPE, _SIGXFSZ, _SIGCANCEL, _SIGSETXID):
        syscall("rt_sigaction", number, ctypes.byref(default), None, 8)
    syscall("rt_sigprocmask", 2, ctypes.byref(default), None, 8)  # SIG_SETMASK


def set_dumpable(*, dumpable: bool) -> None:
    """Whether others of this process's user may see its memory and environment. Inherited, until execve."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def keep_no_new_privileges() -> None:
    """No program executed from here on gains rights from setuid bits or file capabilities."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def close_from(first: int) -> None:
    """Closes every descriptor from `first` on."""
    try:
        syscall("close_range", first, 0xFFFF_FFFF, 0)  # Linux 5.9
    except OSError:
        for name in os.listdir("/proc/self/fd"):
            if int(name) >= first:
                try:
                    os.close(int(name))
                except OSError:
                    continue  # the descriptor of the listing itself


def close_on_exec_from(first: int) -> None:
    """Closes every descriptor from `first` on when a program is executed."""
    try:
        syscall("close_range", first, 0xFFFF_FFFF, 4)  # CLOSE_RANGE_CLOEXEC, Linux 5.11
    except OSError:
        for name in os.listdir("/proc/self/fd"):
            if int(name) >= first:
                try:
                    os.set_inheritable(int(name), False)
                except OSError:
                    continue  # the descriptor of the listing itself


def _last_capability() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap", "rb") as stream:
            return int(stream.read())
    except (OSError, ValueError):
        return 40


LAST_CAPABILITY = _last_capability()
"""The highest capability that this kernel knows."""


def drop_capabilities(keep: int) -> None:
    """Limits this process and all its descendants to the capabilities in the mask `keep`."""
    for capability in range(LAST_CAPABILITY + 1):
        if not keep >> capability & 1:
            libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    use_capabilities(keep)


def use_capabilities(keep: int) -> None:
    """Limits what this process may do now to the capabilities in the mask `keep`; what a program may gain is left."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice, for 32 bits each
    syscall("capget", ctypes.byref(header), ctypes.byref(data))
    # Only what this process has: in a container that may be less than docker's.
    low, high = data[1] & keep, data[4] & keep >> 32
    data[:] = [low, low, 0, high, high, 0]
    syscall("capset", ctypes.byref(header), ctypes.byref(data))


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes, *, listener: bool) -> int:
    """Loads a seccomp filter (an array of struct sock_filter) for this thread; the listener's descriptor, or 0.

    Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
    """
    instructions = ctypes.create_string_buffer(program, len(program))

    # `instructions` must outlive the call: the kernel reads through the pointer.
    argument = _Program(len(program) // 8, ctypes.addressof(instructions))
    if not listener:
        return syscall("seccomp", _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(argument))
    flags = _SECCOMP_FILTER_FLAG_NEW_LISTENER
    try:
        return syscall(
            "seccomp",
            _SECCOMP_SET_MODE_FILTER,
            flags | _SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,  # Linux 5.19
            ctypes.byref(argument),
        )
    except OSError as error:
        if error.errno != 22:
            raise
        return syscall("seccomp", _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(argument))


def forget_session_keyring() -> None:
    """Gives this process a session keyring of its own, so that it cannot read the user's, where the kernel has them."""
    try:
        syscall("keyctl", 1, None, 0, 0, 0)  # KEYCTL_JOIN_SESSION_KEYRING, anonymous
    except OSError as error:
        # ENOSYS: no keyrings in this kernel. EPERM, EACCES: a container's filter, under which the payload has no keyctl
        # either. EDQUOT would leave the user's keys readable.
        if error.errno not in (1, 13, 38):
            raise


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    try:
        return syscall("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def isolate_abstract_sockets() -> bool:
    """Cuts this process off from abstract Unix sockets and signals to the outside (Landlock scopes); whether it could.

    Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
    """
    if landlock_abi() < 6:
        return False
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped (abstract Unix sockets, signals)
    attributes = (ctypes.c_uint64 * 3)(0, 0, 3)
    ruleset = syscall("landlock_create_ruleset", ctypes.byref(attributes), 24, 0)
    try:
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return True
