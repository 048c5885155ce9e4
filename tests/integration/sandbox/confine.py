"""A program that puts itself into a narrower place and then becomes another program: `confine.py RULE… -- COMMAND…`.

Run by root. Rules, in their order:

    mounts                a mount namespace
    overlay=DIR           an overlay over DIR, as the root of a container is one
    mask                  parts of /proc are covered as docker covers them
    no-user-namespaces    a user namespace that may hold no other, in which the program is still root
    filter                docker's system call filter
    capabilities          docker's fourteen
    no-new-privileges
    listener              somebody outside listens to system calls already
    old-kernel            without the mount calls of Linux 5.2 and later, openat2 and close_range
    user=UID
"""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path


def main() -> None:
    from pyoci.sandbox import kernel

    rules, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    for rule in rules:
        name, _, value = rule.partition("=")
        match name:
            case "mounts":
                from pyoci.sandbox import mounting

                kernel.unshare(kernel.CLONE_NEWNS)
                mounting.mount(None, "/", None, mounting.MS_REC | mounting.MS_PRIVATE)
            case "overlay":
                overlay(value)
            case "mask":
                mask()
            case "no-user-namespaces":
                no_user_namespaces()
            case "filter":
                from pyoci.sandbox.filters import docker_filter

                kernel.install_filter(docker_filter(os.uname().machine), listener=False)
            case "capabilities":
                kernel.drop_capabilities(kernel.DOCKER_CAPABILITIES)
            case "no-new-privileges":
                kernel.keep_no_new_privileges()
            case "listener":
                # Held by a process that lives as long as the command; it never has to answer.
                listener = kernel.install_filter(bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F]), listener=True)
                command_process = os.getpid()
                if os.fork() == 0:
                    os.closerange(0, listener)
                    # The kernel would not end it: the command may not send signals to root.
                    while os.getppid() == command_process:
                        time.sleep(0.1)
                    os._exit(0)
                os.close(listener)
            case "old-kernel":
                kernel.install_filter(without(*range(428, 434), 436, 437, 442), listener=False)
            case "user":
                os.setgroups([])
                os.setresgid(int(value), int(value), int(value))
                os.setresuid(int(value), int(value), int(value))
            case _:
                raise SystemExit(f"no rule {rule}")
    os.execv(command[0], command)


def without(*numbers: int) -> bytes:
    """A filter under which system calls do not exist (ENOSYS)."""
    code = [(0x20, 0, 0, 0)]
    for number in numbers:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050026)]
    return b"".join(struct.pack("=HBBI", *line) for line in (*code, (0x06, 0, 0, 0x7FFF0000)))


def overlay(directory: str) -> None:
    from pyoci.sandbox import mounting

    for name in ("lower", "upper", "work"):
        Path(f"{directory}.{name}").mkdir()
    mounting.mount_overlay(
        *([mounting.open_path(f"{directory}.lower")], mounting.open_path(f"{directory}.upper")),
        mounting.open_path(f"{directory}.work"),
        directory,
        user=False,
    )
    Path(directory).chmod(0o777)


def mask() -> None:
    from pyoci.sandbox import mounting

    null = mounting.open_path("/dev/null")
    mounting.bind(null, mounting.open_path("/proc/interrupts"), "/proc/interrupts", read_only=False)
    sysctl = mounting.open_path("/proc/sys")
    mounting.bind(sysctl, sysctl, "/proc/sys", read_only=True)


def no_user_namespaces() -> None:
    from pyoci.sandbox import kernel, namespaces

    kernel.unshare(kernel.CLONE_NEWUSER)
    namespaces.map_single("self", 0, 0, 0, 0)
    descriptor = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY)
    os.write(descriptor, b"0")
    os.close(descriptor)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
