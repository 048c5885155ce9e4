"""RUN for another processor, by an emulator that is registered with the kernel: qemu-user, for riscv64.

The kernel's table of emulators is one for the whole machine, so the tests register one for a processor that no other
test runs programs of. What the steps leave is judged by the same steps run natively.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyoci.api.smallest_programs import ARCHITECTURES, smallest_program
from tests.integration.accounts import Account, Installation, root_account, temporary_account

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_userns,
    pytest.mark.needs_go,
    pytest.mark.needs_binfmt,
    pytest.mark.xdist_group("binfmt"),
    pytest.mark.timeout(900),
]

QEMU = "/usr/bin/qemu-riscv64-static"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
"""qemu's own pattern for riscv64 (scripts/qemu-binfmt-conf.sh)."""

KINDS: dict[str, Callable[[], AbstractContextManager[Account]]] = {
    "root": root_account,
    "subuid": lambda: temporary_account(subordinate_ids=True),
    "single": lambda: temporary_account(subordinate_ids=False),
}

PROGRAM = """\
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(3)
	}
}

func main() {
	switch os.Args[1] {
	case "arch":
		fmt.Println(runtime.GOARCH)
	case "fail":
		os.Exit(42)
	case "child":
		fmt.Println("child", os.Getuid(), os.Getgid(), strings.Join(os.Args[2:], ","))
	case "work":
		work()
	case "check":
		data, err := os.ReadFile("/made/file-1")
		must(err)
		info, err := os.Lstat("/made/link")
		must(err)
		fmt.Println(string(data), info.Mode())
	}
}

func work() {
	must(os.MkdirAll("/made/dir", 0o750))
	var all sync.WaitGroup
	for number := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			name := fmt.Sprintf("/made/file-%d", number)
			must(os.WriteFile(name, []byte(strings.Repeat("x", number*1000)), 0o640))
			must(os.Chown(name, 12, 34))
		}()
	}
	all.Wait()
	must(os.Chmod("/made/file-1", 0o4755))
	must(os.Lchown("/made/dir", 56, 78))
	must(os.Symlink("file-1", "/made/link"))
	must(os.Link("/made/file-2", "/made/second-name"))
	must(os.Rename("/made/file-3", "/made/renamed"))
	must(os.Remove("/doomed"))
	out, err := exec.Command("/tool", "child", "a", "b").CombinedOutput()
	must(err)
	must(os.WriteFile("/made/said", out, 0o600))
}
"""
DOCKERFILE = """\
FROM scratch
COPY tool Dockerfile /
COPY Dockerfile /doomed
RUN ["/tool", "work"]
RUN --mount=type=cache,target=/cache ["/tool", "check"]
USER 1000:1000
RUN --network=none ["/tool", "child", "as a user"]
ENTRYPOINT ["/tool"]
CMD ["arch"]
"""
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@dataclass(frozen=True, slots=True)
class Table:
    """A mount namespace in which the kernel's table is to be seen; elsewhere on this machine it is not mounted."""

    holder: int
    """A process in the namespace."""

    def run(
        self, account: Account, command: Sequence[str], environment: dict[str, str], *, seen: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """As that account; without `seen` where the table is not to be seen, as in a container."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt"] if seen else []
        drop = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        return subprocess.run(
            [*enter, *drop, *command], env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    def write(self, name: str, text: str) -> None:
        subprocess.run(
            ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "tee", str(BINFMT / name)],
            input=text,
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
            timeout=30,
        )

    @contextmanager
    def registered(self, flags: str) -> Iterator[None]:
        name = f"pyoci-riscv64-{os.getpid()}"
        self.write("register", f":{name}:M::{MAGIC}:{MASK}:{QEMU}:{flags}")
        try:
            yield
        finally:
            self.write(name, "-1")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    script = f"mount -t binfmt_misc binfmt_misc {BINFMT} && echo ready && exec sleep 3600"
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            found = Table(holder.pid)
            for left in Path(f"/proc/{holder.pid}/root{BINFMT}").glob("pyoci-riscv64-*"):
                with suppress(ProcessLookupError):
                    os.kill(int(left.name.rpartition("-")[2]), 0)
                    continue
                found.write(left.name, "-1")
            yield found
        finally:
            holder.kill()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The program for both processors."""
    directory = tmp_path_factory.mktemp("tool")
    (directory / "main.go").write_text(PROGRAM)
    (directory / "go.mod").write_text("module example.test/worker\n\ngo 1.22\n")
    found = {}
    for architecture in (NATIVE, "riscv64"):
        environment = {
            "PATH": "/usr/local/go/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "GOARCH": architecture,
            "GOFLAGS": "-p=2",
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
        }
        target = directory / architecture
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(target), "."]
        go = "/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else "go"
        done = subprocess.run(
            [go, *command[1:]], cwd=directory, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        found[architecture] = target.read_bytes()
    return found


class World:
    """One account with a context for each processor."""

    def __init__(self, pyoci: Installation, table: Table, account: Account, tools: dict[str, bytes]) -> None:
        self.pyoci = pyoci
        self.table = table
        self.account = account
        for architecture, program in tools.items():
            context = account.home / architecture
            context.mkdir()
            (context / "tool").write_bytes(program)
            (context / "tool").chmod(0o755)
            (context / "Dockerfile").write_text(DOCKERFILE)
            for path in (context, *context.iterdir()):
                os.chown(path, account.uid, account.gid)

    def run(self, *arguments: str, seen: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**self.pyoci.environment(self.account), "PYTHONSAFEPATH": "1"}
        return self.table.run(self.account, self.pyoci.command(*arguments), environment, seen=seen)

    def build(self, architecture: str, *flags: str, seen: bool = True) -> subprocess.CompletedProcess[str]:
        context = str(self.account.home / architecture)
        platform = f"--platform=linux/{architecture}"
        return self.run("build", "--progress=plain", "--preflight=off", platform, *flags, context, seen=seen)

    def layers(self, name: str) -> list[str]:
        shown = self.run("inspect", name)
        layers = json.loads(shown.stdout)[0]["RootFS"]["Layers"]
        assert isinstance(layers, list)
        return layers


@pytest.fixture
def worlds(
    pyoci: Installation, table: Table, tools: dict[str, bytes]
) -> Callable[[str], AbstractContextManager[World]]:
    @contextmanager
    def make(kind: str) -> Iterator[World]:
        with KINDS[kind]() as account:
            yield World(pyoci, table, account, tools)

    return make


Worlds = Callable[[str], AbstractContextManager[World]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_leaves_what_it_leaves_natively(worlds: Worlds, table: Table, kind: str) -> None:
    with worlds(kind) as world, table.registered("F"):
        native = world.build(NATIVE, "-t", "native")
        assert native.returncode == 0, native.stderr
        built = world.build("riscv64", "-t", "emulated")
        assert built.returncode == 0, built.stderr
        assert "child 1000 1000 as a user" in built.stderr
        tool, doomed, *made = world.layers("emulated")
        native_tool, native_doomed, *natively = world.layers("native")
        assert (tool != native_tool, doomed) == (True, native_doomed)
        assert made == natively
        ran = world.run("run", "--rm", "emulated")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "riscv64\n", "")
        assert world.run("run", "--rm", "emulated", "fail").returncode == 42
        assert world.build("riscv64").stderr.count("CACHED") == 5


def test_what_fails_gives_its_own_status(worlds: Worlds, table: Table) -> None:
    with worlds("root") as world, table.registered("F"):
        (world.account.home / "riscv64/Dockerfile").write_text('FROM scratch\nCOPY tool /\nRUN ["/tool", "fail"]\n')
        failed = world.build("riscv64")
        assert failed.returncode == 1
        assert "exit code: 42" in failed.stderr


def test_without_an_emulator_it_is_refused_before_anything_runs(worlds: Worlds, table: Table) -> None:
    with worlds("root") as world:
        for seen in (True, False):
            refused = world.build("riscv64", seen=seen)
            assert refused.returncode == 1
            assert "error: RUN needs to execute programs for linux/riscv64, which this machine cannot" in refused.stderr
            assert " --> Dockerfile:4:1" in refused.stderr
            assert "FROM --platform=$BUILDPLATFORM" in refused.stderr
            assert "binfmt_misc" in refused.stderr
            assert "#1" not in refused.stderr
        with table.registered(""):  # not in the root file system of a step
            assert world.build("riscv64").returncode == 1


def test_it_is_tried_where_the_table_cannot_be_seen(worlds: Worlds, table: Table) -> None:
    with worlds("single") as world, table.registered("F"):
        assert not (BINFMT / "status").exists()
        built = world.build("riscv64", seen=False)
        assert built.returncode == 0, built.stderr


def test_doctor_tells_who_executes_what(worlds: Worlds, table: Table) -> None:
    def said(world: World) -> list[dict[str, str]]:
        findings = json.loads(world.run("doctor", "--json").stdout)["findings"]
        return [one for one in findings if one["name"] == "emulation" and "riscv64" in one["message"]]

    with worlds("single") as world:
        assert said(world) == []
        with table.registered("F"):
            (found,) = said(world)
            assert found["level"] == "good"
            assert found["message"] == f"programs for riscv64 are executed by {QEMU}"
        with table.registered("OC"):
            (found,) = said(world)
            assert found["level"] == "note"
            assert "flag F" in found["cause"]


def test_two_platforms_are_built_at_once(worlds: Worlds, table: Table) -> None:
    with worlds("subuid") as world, table.registered("F"):
        context = world.account.home / "both"
        context.mkdir()
        for architecture in (NATIVE, "riscv64"):
            (context / f"tool-{architecture}").write_bytes((world.account.home / architecture / "tool").read_bytes())
            (context / f"tool-{architecture}").chmod(0o755)
        (context / "Dockerfile").write_text(
            'FROM scratch\nARG TARGETARCH\nCOPY tool-$TARGETARCH /tool\nRUN ["/tool", "arch"]\n'
        )
        started = time.monotonic()
        platforms = f"--platform=linux/{NATIVE},linux/riscv64"
        built = world.run("build", "--progress=plain", "--preflight=off", platforms, "-t", "both", str(context))
        assert built.returncode == 0, built.stderr
        assert {line.split()[-1] for line in built.stderr.splitlines() if line.endswith((NATIVE, "riscv64"))} >= {
            NATIVE,
            "riscv64",
        }
        assert time.monotonic() - started < 300


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_smallest_programs_run(tmp_path: Path, architecture: str) -> None:
    qemu = {"386": "i386", "amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64", "mips64le": "mips64el"}
    program = tmp_path / "smallest"
    program.write_bytes(smallest_program(architecture))
    program.chmod(0o755)
    command = [f"/usr/bin/qemu-{qemu.get(architecture, architecture)}-static", "-strace", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr.rstrip().endswith("exit(0)")
