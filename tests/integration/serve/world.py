"""`pyoci serve` as it is typed, in a process of its own, and Go programs that judge it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.bases import once
from tests.integration.registry.command_line import CommandLine

START_SECONDS = 60


@dataclass(slots=True)
class ServeProcess:
    """A server that was started from the command line."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def address(self) -> str:
        return self.url.partition("://")[2]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """The exit status, and the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout=60), time.monotonic() - started


@contextlib.contextmanager
def serve_process(pyoci: CommandLine, *arguments: str, stdin: str = "") -> Iterator[ServeProcess]:
    """A server on a free port of loopback; killed when the block ends, if it still runs."""
    log = pyoci.directory / "serve.log"
    command = pyoci.command("serve", "--listen", "127.0.0.1:0", *arguments)
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=pyoci.directory,
            env=pyoci.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(stdin)
        process.stdin.close()
        url = process.stdout.readline().strip()
        assert url, log.read_text()
        yield ServeProcess(process, url, log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True, slots=True)
class GoModule:
    """A program that Go's module proxy has."""

    path: str
    version: str
    package: str = ""

    @property
    def name(self) -> str:
        return (self.package or self.path).rpartition("/")[2]


def go_program(cache: Path, module: GoModule) -> Path:
    """The program, compiled once per cache. Skips the test where the module proxy is out of reach."""

    def build(target: Path) -> None:
        with contextlib.ExitStack() as stack:
            directory = target.with_name(f"{target.name}.build")
            directory.mkdir()
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            environment = {
                **os.environ,
                "GOPATH": str(directory / "path"),
                "GOCACHE": str(directory / "cache"),
                "GOBIN": str(directory / "bin"),
                "GOFLAGS": "-modcacherw -p=2",
                "CGO_ENABLED": "0",
            }
            package = f"{module.path}/{module.package}".removesuffix("/")
            done = subprocess.run(
                [_go(), "install", f"{package}@{module.version}"],
                env=environment,
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"cannot build {package}: {done.stderr.strip()[-300:]}")
            (directory / "bin" / module.name).replace(target)

    program = once(cache / f"{module.name}-{module.version.replace('.', '_')}", build)
    program.chmod(0o755)
    return program


def _go() -> str:
    return shutil.which("go") or "/usr/local/go/bin/go"
