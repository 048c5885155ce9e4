"""Independent stages run at once, end at once, and leave nothing; as root and as a user without subordinate IDs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.base_image import write_base_layout
from tests.integration.accounts import Account, Installation, root_account, temporary_account
from tests.integration.sandbox.world import eventually

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

COUNT = 10


@contextmanager
def an_account(kind: str) -> Iterator[Account]:
    with root_account() if kind == "root" else temporary_account(subordinate_ids=kind == "subuid") as account:
        write_base_layout(account.home / "base")
        yield account


@pytest.fixture(params=["root", "subuid", "single"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with an_account(request.param) as made:
        yield made


def write_stages(account: Account, command: str) -> list[str]:
    """A Dockerfile of independent stages, and the arguments that build it."""
    stages = [f"FROM base AS s{number}\nRUN {command.replace('N', str(number))}\n" for number in range(COUNT)]
    last = "FROM scratch\n" + "".join(f"COPY --from=s{number} /t{number} /\n" for number in range(COUNT))
    (account.home / "Dockerfile").write_text("".join(stages) + last)
    base = f"base=oci-layout://{account.home}/base:latest"
    return ["build", "--build-context", base, "--output", "type=local,dest=out", "."]


def test_ten_stages_at_once(
    pyoci: Installation, account: Account, record_property: Callable[[str, object], None]
) -> None:
    """Each knows when the others began: all were under way before the first was done."""
    arguments = write_stages(account, "date +%s >/tN; sleep 2; date +%s >>/tN")
    started = time.monotonic()
    done = pyoci.run(account, *arguments)
    taken = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    times = [(account.home / "out" / f"t{number}").read_text().split() for number in range(COUNT)]
    assert max(int(begin) for begin, _ in times) <= min(int(end) for _, end in times)
    record_property("measured", f"{COUNT} stages of `sleep 2`: {taken:.2f} s in all")


@contextmanager
def under_way(pyoci: Installation, account: Account, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A build whose stages have all started, each with a process that left its session."""
    with subprocess.Popen(
        pyoci.command(*arguments, "--progress=plain"),
        env=pyoci.environment(account),
        cwd=account.home,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Below a shell that started these tests in the background SIGINT is ignored, and what is ignored is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stderr is not None
            seen = 0
            for line in process.stderr:
                seen += line.rstrip().endswith("under-way")
                if seen == COUNT:
                    break
            assert seen == COUNT
            yield process
        finally:
            process.kill()


def alive(seconds: str) -> list[int]:
    """Processes of a step of this test, by what they sleep."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if seconds.encode() in (path / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(path.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_all_end_when_the_builder_does(
    pyoci: Installation, account: Account, number: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    seconds = f"{70_000_000 + os.getpid()}{int(number)}{account.uid}"
    arguments = write_stages(
        account, f"trap '' TERM; (setsid sleep {seconds} &); echo under-way; sleep {seconds}; >/tN"
    )
    with under_way(pyoci, account, arguments) as process:
        assert eventually(lambda: len(alive(seconds)) == 2 * COUNT, 20)
        began = time.monotonic()
        process.send_signal(number)
        assert eventually(lambda: not alive(seconds), 30)
        taken = time.monotonic() - began
        process.wait(timeout=30)
    assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
    record_property("measured", f"{COUNT} stages ended {taken:.2f} s after {number.name}")
    assert str(account.home) not in Path("/proc/self/mountinfo").read_text()
    after = pyoci.run(account, *write_stages(account, "echo N >/tN"))  # nothing is locked
    assert after.returncode == 0, after.stderr
