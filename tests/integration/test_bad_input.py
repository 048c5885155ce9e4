"""What goes wrong on the way, seen from the command line: one clear message, docker's statuses, nothing half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.base_image import write_base_layout
from tests.fakes.registry import Change, FakeRegistry, Fault, Respond, fake_registry

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """pyoci in a world of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.context = directory / "context"
        self.context.mkdir()
        base = directory / "base"
        write_base_layout(base)
        self.base = f"base=oci-layout://{base}:latest"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PYOCI_HOME": str(self.store),
            "PYTHONPATH": str(ROOT),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pyoci", *arguments]

    def __call__(self, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
        self.write(files)
        return subprocess.run(
            self.command(*arguments),
            cwd=self.context,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.context / name).write_text(text)

    def leftovers(self) -> list[str]:
        """What an unfinished write would leave."""
        names = [path.name for path in (self.store / "tmp").iterdir() if not path.name.endswith((".lock", ".json"))]
        return names + [path.name for path in (self.store / "snapshots").iterdir() if path.name.startswith("partial-")]


@pytest.fixture
def pyoci(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_missing_file_is_pointed_at_before_anything_runs(pyoci: Run) -> None:
    done = pyoci(
        "build",
        "--build-context",
        pyoci.base,
        ".",
        Dockerfile="FROM base\nRUN touch /ran\nCOPY app.g /\n",
        **{"app.go": "x"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        'error: "/app.g": not found\n'
        " --> Dockerfile:3:6\n"
        "  |\n"
        "3 | COPY app.g /\n"
        "  |      ^^^^^\n"
        'hint: did you mean "app.go"?\n'
    )


def test_a_failed_step_shows_its_last_output_and_its_status(pyoci: Run) -> None:
    done = pyoci(
        "build", "--build-context", pyoci.base, ".", Dockerfile="FROM base\nRUN echo one && echo two >&2 && exit 42\n"
    )
    assert done.returncode == 1
    assert done.stderr.endswith(
        "\n"
        "  > one\n"
        "  > two\n"
        'error: process "/bin/sh -c echo one && echo two >&2 && exit 42" did not complete successfully: exit code: 42\n'
        " --> Dockerfile:2:1\n"
        "  |\n"
        "2 | RUN echo one && echo two >&2 && exit 42\n"
        f"  | {'^' * len('RUN echo one && echo two >&2 && exit 42')}\n"
    )
    assert pyoci.leftovers() == []


def test_a_comment_behind_copy_may_hold_an_apostrophe(pyoci: Run) -> None:
    done = pyoci("build", ".", Dockerfile="FROM scratch\nCOPY app.go . # don't forget\n", **{"app.go": "x"})
    assert done.returncode == 1
    assert done.stderr.endswith(
        "error: a comment cannot stand behind COPY\n"
        " --> Dockerfile:2:15\n"
        "  |\n"
        "2 | COPY app.go . # don't forget\n"
        "  |               ^^^^^^^^^^^^^^\n"
        'hint: put "# don\'t forget" on a line of its own, above\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "--no-such-flag", "."],
        ["build", "nowhere"],
        ["build", "--target", "nosuch", "."],
        ["build", "-o", "type=nosuch", "."],
        ["build", "--platform", "not/a/plat/form", "."],
        ["build", "-t", "Upper:case", "."],
        ["build", "--secret", "src=x", "."],
        ["run"],
        ["nosuch"],
    ],
)
def test_a_wrong_command_line_is_exit_status_2(pyoci: Run, arguments: list[str]) -> None:
    done = pyoci(*arguments, Dockerfile="FROM scratch\n")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


class TestRegistries:
    DOCKERFILE = "FROM {}/team/app:1\nRUN true\n"

    @contextmanager
    def serving(self, *faults: Fault) -> Iterator[FakeRegistry]:
        with fake_registry() as registry:
            registry.faults.extend(faults)
            yield registry

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (401, "team/app:1"),
            (403, "team/app:1"),
            (404, "team/app:1"),
            (500, "500"),
        ],
    )
    def test_a_refusal_is_located_at_the_from(self, pyoci: Run, status: int, message: str) -> None:
        fault = Fault(Respond(status, b'{"errors":[{"code":"X","message":"no"}]}'), path="/v2/", times=1000)
        with self.serving(fault) as registry:
            done = pyoci("build", ".", Dockerfile=self.DOCKERFILE.format(registry.host))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert message in done.stderr
        assert " --> Dockerfile:1:6\n" in done.stderr
        assert pyoci.leftovers() == []

    def test_bytes_that_are_not_what_was_promised_are_refused(self, pyoci: Run) -> None:
        with self.serving() as registry:
            reference = f"{registry.host}/team/app:1"
            pushed = pyoci("build", "-t", reference, "--push", ".", Dockerfile="FROM scratch\nCOPY f /\n", f="x")
            assert pushed.returncode == 0, pushed.stderr
            registry.faults.append(Fault(Change(body=lambda body: body[::-1]), "GET", "/blobs/", times=1000))
            other = Run(_fresh(pyoci.directory / "other"))
            done = other("pull", reference)
        assert done.returncode == 1
        assert "sha256:" in done.stderr
        assert "Traceback" not in done.stderr
        assert other.leftovers() == []
        assert other("images", "-q").stdout == ""


def _fresh(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.needs_root
def test_a_full_disk_is_said_and_leaves_nothing(pyoci: Run) -> None:
    pyoci.store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(pyoci.store)], check=True)
    try:
        (pyoci.context / "big").write_bytes(os.urandom(8 << 20))
        done = pyoci("build", ".", Dockerfile="FROM scratch\nCOPY big /big\n")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "hint: free some space" in done.stderr
        assert "Traceback" not in done.stderr
        assert pyoci.leftovers() == []
        small = pyoci("build", "-q", ".", Dockerfile="FROM scratch\nCOPY f /f\n", f="small")
        assert small.returncode == 0, small.stderr
    finally:
        subprocess.run(["umount", str(pyoci.store)], check=True)


@contextmanager
def started(pyoci: Run) -> Iterator[subprocess.Popen[str]]:
    """A build whose step has said that it began; whatever happens, it does not outlive the block.

    A shell's background jobs ignore SIGINT, and so would a build below them: here it is heeded.
    """
    with subprocess.Popen(
        pyoci.command("build", "--build-context", pyoci.base, "."),
        cwd=pyoci.context,
        env=pyoci.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.rstrip().endswith("started"):
                    break
            yield process
        finally:
            process.kill()


@pytest.mark.needs_userns
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_everything_within_seconds(pyoci: Run, number: signal.Signals) -> None:
    marker = f"{os.getpid()}{int(number)}"
    pyoci.write({"Dockerfile": f"FROM base\nRUN echo started; (setsid sleep 9{marker} &); sleep 9{marker}\n"})
    with started(pyoci) as process:
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        taken = time.monotonic() - began
    assert process.returncode == 130
    assert errors.rstrip().endswith("error: interrupted")
    assert taken < 10
    assert subprocess.run(["pgrep", "-f", f"sleep 9{marker}"], capture_output=True, check=False).returncode == 1
    assert pyoci.leftovers() == []


@pytest.mark.needs_userns
def test_a_killed_builder_takes_its_steps_along(pyoci: Run) -> None:
    marker = f"{os.getpid()}9"
    pyoci.write({"Dockerfile": f"FROM base\nRUN echo started; (setsid sleep 8{marker} &); sleep 8{marker}\n"})
    with started(pyoci) as process:
        process.kill()
    for _ in range(100):
        if subprocess.run(["pgrep", "-f", f"sleep 8{marker}"], capture_output=True, check=False).returncode:
            return
        time.sleep(0.1)
    raise AssertionError("a step outlived its builder")
