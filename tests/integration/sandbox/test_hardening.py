"""What a hostile step cannot do. One test for each attack."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.protocols import (
    BindMount,
    FileMount,
    Limits,
    Mount,
    Network,
    OverlayRoot,
    TmpfsMount,
)
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_apt]

NETWORKS: tuple[Network, ...] = ("host", "none")
CAPABILITIES = "00000000a80425fb"
"""Docker's fourteen."""


def test_capabilities_and_filter_are_dockers(debian: World) -> None:
    result = debian.run("grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status")
    assert dict(line.split() for line in result.output.splitlines()) == {
        "CapInh:": "0" * 16,
        "CapPrm:": CAPABILITIES,
        "CapEff:": CAPABILITIES,
        "CapBnd:": CAPABILITIES,
        "CapAmb:": "0" * 16,
        "NoNewPrivs:": "0",
        "Seccomp:": "2",
    }


def test_another_user_has_no_capabilities(debian: World) -> None:
    result = debian.run("grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status; id -u; id -g", uid=1000, gid=1000)
    *capabilities, uid, gid = result.output.split()
    assert capabilities[:4] == ["CapPrm:", "0" * 16, "CapEff:", "0" * 16]
    assert (uid, gid) == ("1000", "1000")


def test_chroot_mode_keeps_what_is_needed_for_owners(debian_worlds: Worlds) -> None:
    world = debian_worlds("chroot")
    perl = "my $p = '/tmp'; print syscall(161, $p) == 0 ? 'left' : $!+0"
    result = world.run(["perl", "-e", perl])
    assert result.output == "1"  # EPERM: no chroot out of the chroot
    assert world.run("mknod /x c 1 3").status != 0
    assert world.run("chown 33:33 /tmp && stat -c %u /tmp").output == "33\n"


@pytest.mark.parametrize(
    "command",
    [
        "unshare -Ur id",
        "unshare -m true",
        "mount -t tmpfs x /mnt",
        "umount /proc/sys",
        "mount -o remount,rw /proc/sys",
        "chroot / umount -l /etc/hosts",
        "nsenter -t 1 -m true",
    ],
)
def test_no_new_namespaces_and_mounts(debian: World, command: str) -> None:
    result = debian.run(command)
    assert result.status not in (0, 127), result.output


# Numbers of x86_64 and arguments that would be valid; what refuses is then the filter.
FORBIDDEN = {
    "bpf": (321, "0, 0, 0"),
    "perf_event_open": (298, "0, 0, -1, -1, 0"),
    "keyctl": (250, "0, -3, 0"),
    "add_key": (248, "$s, $s, $s, 1, -3"),
    "kexec_load": (246, "0, 0, 0, 0"),
    "init_module": (175, "0, 0, $s"),
    "io_uring_setup": (425, "1, 0"),
    "userfaultfd": (323, "0"),
    "open_by_handle_at": (304, "0, 0, 0"),
    "syslog": (103, "10, 0, 0"),
    "acct": (163, "0"),
    "settimeofday": (164, "0, 0"),
    "fsopen": (430, "$s, 0"),
    "open_tree": (428, "-100, $s, 1"),
    "setns": (308, "0, 0"),
    "personality": (135, "0x0040000"),  # ADDR_NO_RANDOMIZE
    "socket AF_VSOCK": (41, "40, 1, 0"),
    "socket AF_ALG": (41, "38, 5, 0"),
    "clone NEWUSER": (56, "0x10000000 | 17, 0, 0, 0, 0"),
    "quotactl": (179, "0, 0, 0, 0"),
    "reboot": (169, "0, 0, 0, 0"),
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_forbidden_system_calls(debian: World) -> None:
    lines = [
        f"print '{name}:', (syscall({number}, {arguments}) < 0 ? $!+0 : 'done'), \"\\n\";"
        for name, (number, arguments) in FORBIDDEN.items()
    ]
    result = debian.run(["perl", "-e", "my $s = 'user';" + "".join(lines)])
    assert result.output.splitlines() == [f"{name}:1" for name in FORBIDDEN]  # EPERM


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_unknown_system_calls_do_not_exist(debian: World) -> None:
    numbers = {"clone3": 435, "x32 read": 0x40000000, "open_tree_attr": 467, "far": 4000}
    lines = [
        f"print '{name}:', (syscall({number}, 0, 0) < 0 ? $!+0 : 'done'), \"\\n\";" for name, number in numbers.items()
    ]
    assert debian.run(["perl", "-e", "".join(lines)]).output.splitlines() == [
        f"{name}:38" for name in numbers
    ]  # ENOSYS


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program is one of i386")
def test_programs_of_32_bits_are_filtered_too(debian: World, tmp_path: Path) -> None:
    source = tmp_path / "probe.c"
    # Without a C library: unshare(CLONE_NEWUSER) is 310, getpid 20, exit 1 on i386.
    source.write_text(
        'static int call(int n, int a) { int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a)); return r; }\n'
        "void _start(void) { int pid = call(20, 0), made = call(310, 0x10000000);"
        " call(1, pid > 0 && made == -1 ? 7 : 8); }\n"
    )
    program = tmp_path / "probe"
    built = subprocess.run(
        ["gcc", "-m32", "-static", "-nostdlib", "-fno-pic", "-no-pie", "-o", program, source],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert built.returncode == 0, built.stderr
    assert debian.run(["/probe"], [FileMount("/probe", program.read_bytes(), mode=0o755)]).status == 7


def test_devices_cannot_be_opened(debian: World) -> None:
    assert debian.run("exec 3<>/dev/null && echo x >/dev/null && head -c1 /dev/zero >/dev/null").status == 0
    made = debian.run("mknod /f c 10 229; exec 3<>/f; echo opened")
    if debian.mode == "root":
        assert "Permission denied" in made.output and "opened" not in made.output
    else:  # an empty file stands for it
        assert debian.changes()["f"].device == (10, 229)


@pytest.mark.parametrize("place", ["/dev", "/dev/shm", "/tmp", "/memory", "/cache"])
def test_nowhere_can_a_device_be_made_and_opened(debian_worlds: Worlds, place: str) -> None:
    world = debian_worlds("root")
    mounts: list[Mount] = [TmpfsMount("/memory"), BindMount("/cache", world.directory(), access="read-write")]
    result = world.run(f"mknod {place}/disk b 254 0 && exec 3<{place}/disk; echo opened", mounts)
    assert "Permission denied" in result.output
    assert "opened" not in result.output


@pytest.mark.parametrize(
    "command",
    [
        "echo 1 >/proc/sys/kernel/printk",
        "echo b >/proc/sysrq-trigger",
        "echo 1 >/proc/irq/default_smp_affinity",
        "echo x >/sys/kernel/mm/ksm/run",
        "echo +memory >/sys/fs/cgroup/cgroup.subtree_control",
        "echo x >/etc/hosts",
        "echo x >/etc/resolv.conf",
    ],
)
def test_what_is_the_kernels_is_read_only(debian: World, command: str) -> None:
    result = debian.run(command)
    assert result.status != 0
    assert re.search(r"Read-only|Permission denied|nonexistent|cannot create", result.output), result.output


def test_what_tells_of_the_host_is_hidden(debian: World) -> None:
    files = "kcore keys timer_list interrupts sched_debug latency_stats"
    script = f"for f in {files}; do head -c 100 /proc/$f 2>/dev/null; done;"
    assert debian.run(script + "ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v :").output.strip() == ""


def test_the_first_process_keeps_its_secrets(debian: World) -> None:
    result = debian.run("cat /proc/1/environ; ls -l /proc/1/exe /proc/1/root; ls -l /proc/1/fd/; kill -9 1; echo still")
    assert result.output.splitlines()[-1] == "still"
    assert "python" not in result.output
    assert "->" not in result.output
    assert result.output.count("Permission denied") >= 3


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_the_session_keyring_is_out_of_reach(debian_worlds: Worlds) -> None:
    """In a process of its own, since a keyring is inherited for ever; without the filter, which forbids keyctl."""
    world = debian_worlds("root")
    root = world.fresh()
    assert isinstance(root, OverlayRoot)
    program = """
import ctypes, sys, threading
from pathlib import Path
from pyoci.sandbox.namespace_sandbox import NamespaceSandbox
from pyoci.sandbox.protocols import *
from pyoci.sandbox.worker import Worker
libc = ctypes.CDLL(None)
assert libc.syscall(250, 1, None) > 0
key = libc.syscall(248, b"user", b"pyoci-test", b"S3CRET", 6, -3)
assert libc.syscall(250, 10, -3, b"user", b"pyoci-test", 0) == key
perl = "my ($u, $d) = ('user', 'pyoci-test'); print syscall(250, 10, -3, $u, $d, 0), qq(\\n)"
base, upper, work = map(Path, sys.argv[1:])
with Worker(Privilege("root", 0, 0)) as worker:
    process = Process(("/usr/bin/perl", "-e", perl), insecure=True)
    sandbox = NamespaceSandbox(worker)
    root = OverlayRoot((base,), upper, work)
    sys.exit(sandbox.run(process, root, (), network="host", stdio=Attached(0, 1, 2), cancelled=threading.Event()))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, world.base, str(root.upper), str(root.work)],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.stdout, result.returncode) == ("-1\n", 0), result.stderr


def test_abstract_sockets_of_the_host_are_out_of_reach(debian: World) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0pyoci-test")
        listener.listen()
        perl = (
            "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0);"
            "print connect($s, pack('S a*', AF_UNIX, \"\\0pyoci-test\")) ? 'connected' : $!+0"
        )
        for network in NETWORKS:
            result = debian.run(["perl", "-e", perl], network=network)
            assert result.output in ("1", "111"), network  # EPERM; ECONNREFUSED where there is none


def test_the_hosts_network_is_reachable_only_when_it_is_asked_for(debian: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        perl = (
            "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0);"
            f"print connect($s, sockaddr_in({port}, inet_aton('127.0.0.1'))) ? 'connected' : 'refused'"
        )
        assert debian.run(["perl", "-e", perl], network="none").output == "refused"
        assert debian.run(["perl", "-e", perl], network="host").output == "connected"


def test_processes_of_the_same_user_outside_are_out_of_reach(debian: World) -> None:
    user = {"user": debian.account.uid, "group": debian.account.gid}
    other = subprocess.Popen(["sleep", "60"], **user)  # type: ignore[call-overload]
    try:
        assert debian.run(f"kill -9 {other.pid}; ls /proc/{other.pid}").status != 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_no_descriptor_of_the_builder_is_inherited(debian: World) -> None:
    leaks = [os.open("/etc/shadow", os.O_RDONLY) for _ in range(3)]
    for leak in leaks:
        os.set_inheritable(leak, True)
    try:
        assert debian.run("ls /proc/self/fd").output.split() == ["0", "1", "2", "3"]
    finally:
        for leak in leaks:
            os.close(leak)


def test_the_environment_of_the_builder_is_not_the_steps(debian: World) -> None:
    os.environ["PYOCI_TEST_TOKEN"] = "S3CRET"
    try:
        script = "cat /proc/[0-9]*/environ 2>/dev/null; env"
        assert "S3CRET" not in debian.run(script).output
    finally:
        del os.environ["PYOCI_TEST_TOKEN"]


def test_a_fork_bomb_ends_with_its_time(debian_worlds: Worlds) -> None:
    world = debian_worlds("root")
    result = world.run("f() { f | f & }; f; sleep 5; echo survived", limits=Limits(pids=64), timeout_seconds=20)
    assert "fork" in result.output.lower()
    assert threading.active_count() < 50


def test_a_symlink_out_of_the_root_leads_back_into_it(debian: World) -> None:
    """Nothing is made on the host."""
    outside = Path(tempfile.mkdtemp())
    os.chown(outside, debian.account.uid, debian.account.gid)
    root = debian.fresh()
    assert (
        debian.run(f"rm -rf /run && ln -s {outside} /run && ln -s ../../../../../../{outside} /up", root=root).status
        == 0
    )
    mounts: list[Mount] = [FileMount("/run/secrets/x", b"secret"), FileMount("/up/y", b"other")]
    result = debian.run(f"cat /run/secrets/x /up/y; ls {outside}", mounts, root=root)
    assert result.output == "secretothersecrets\ny\n"
    assert list(outside.iterdir()) == []
    outside.rmdir()


@pytest.mark.parametrize("target", ["/", "/proc", "/proc/sys", "/sys/fs", "relative", "/.."])
def test_mount_points_that_no_step_may_have(debian: World, target: str) -> None:
    with pytest.raises(SandboxError, match="mount point"):
        debian.run("true", [TmpfsMount(target)])


def test_insecure_has_everything(debian: World) -> None:
    result = debian.run(
        "grep -E '^(CapEff|Seccomp:)' /proc/self/status; mount -t tmpfs x /mnt && echo mounted", insecure=True
    )
    # The recorder has a filter too.
    assert result.output.split()[2:] == ["Seccomp:", "0" if debian.mode == "root" else "2", "mounted"]
