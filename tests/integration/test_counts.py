"""What a build that finds everything in its cache must not do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.accounts import ROOT
from tests.integration.real.registry import real_registry

DOCKERFILE = """\
FROM scratch AS builder
ADD busybox.tar /
WORKDIR /src
COPY greeting .
RUN tr a-z A-Z <greeting >/greeting.loud

FROM scratch
ADD busybox.tar /
COPY --from=builder /greeting.loud /
ENTRYPOINT ["/bin/cat", "/greeting.loud"]
"""

LISTENER = '''\
"""Writes what the interpreter is about to do, and at its end what it imported, to the file that COUNTS names."""
import atexit, json, os, sys

WATCHED = ("socket.", "subprocess.", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system")
seen = []

def listen(event, arguments):
    if event.startswith(WATCHED):
        seen.append(event)

def write():
    with open(os.environ["COUNTS"], "w") as out:
        json.dump({"events": seen, "modules": sorted(sys.modules)}, out)

sys.addaudithook(listen)
atexit.register(write)
'''

NEVER_WHEN_CACHED = (
    "requests",
    "urllib3",
    "jsonschema",
    "socket",
    "http.client",
    "ssl",
    "pyoci.preflight.check",
    "pyoci.preflight.leaks",
)


class Build:
    """The same build, again and again, in one world."""

    def __init__(self, directory: Path, busybox: Path) -> None:
        self.context = directory / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text(DOCKERFILE)
        (self.context / "greeting").write_text("hello\n")
        shutil.copy(busybox, self.context / "busybox.tar")
        listener = directory / "listener"
        listener.mkdir()
        (listener / "sitecustomize.py").write_text(LISTENER)
        self.counts = directory / "counts.json"
        self.environment = {
            **os.environ,
            "PYOCI_HOME": str(directory / "store"),
            "PYTHONPATH": os.pathsep.join((str(listener), str(ROOT))),
            "COUNTS": str(self.counts),
        }
        self.command = [
            *(sys.executable, "-m", "pyoci", "build", "--progress", "plain"),
            *("-t", "counted:latest", str(self.context)),
        ]

    def run(self, *prefix: str) -> str:
        result = subprocess.run(
            [*prefix, *self.command], env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stderr
        return result.stderr

    def counted(self) -> dict[str, list[str]]:
        counts: dict[str, list[str]] = json.loads(self.counts.read_text())
        return counts


@pytest.fixture
def build(tmp_path: Path, busybox_tar: Path) -> Build:
    return Build(tmp_path, busybox_tar)


def test_a_cached_build_starts_nothing_and_speaks_to_nobody(build: Build) -> None:
    build.run()
    assert build.counted()["events"], "the first build has a RUN, which the listener must see"
    output = build.run()
    counts = build.counted()
    assert "CACHED" in output
    assert counts["events"] == []
    loaded = {name for name in counts["modules"] for heavy in NEVER_WHEN_CACHED if name == heavy}
    assert not loaded


def test_an_unchanged_build_is_not_planned_and_imports_little(build: Build) -> None:
    time.sleep(0.1)  # what was written a moment ago could change again without a trace
    build.run()
    output = build.run()
    loaded = set(build.counted()["modules"])
    subprocess.run([sys.executable, "-c", ""], env=build.environment, timeout=60, check=True)
    own = loaded - set(build.counted()["modules"])
    assert "CACHED" in output
    assert not {name for name in own if name.startswith(("pyoci.dockerfile", "pyoci.layer", "pyoci.image.config"))}
    assert not own & {"pyoci.api.building", "pyoci.build.solver", "pyoci.snapshot", "zlib_ng", "isal", "rich"}
    assert len(own) < 80, sorted(own)


@pytest.mark.needs_registry
def test_an_unchanged_build_that_is_pushed_asks_for_its_tag_alone(build: Build, tmp_path: Path) -> None:
    time.sleep(0.1)
    with real_registry(tmp_path / "registry") as registry:
        build.command[-2:] = [f"{registry.host}/counted:1", "--push", build.command[-1]]
        build.run()
        build.run()  # keeps what the image's looks say
        before = len(registry.requests())
        output = build.run()
        asked = registry.requests()[before:]
    loaded = set(build.counted()["modules"])
    assert "CACHED" in output
    assert asked == ["GET /v2/", "HEAD /v2/counted/manifests/1"], "what a loopback registry speaks, and the tag"
    assert not loaded & {"requests", "urllib3", "certifi", "concurrent.futures", "pyoci.api.building"}
    assert not loaded & {"pyoci.registry.upload", "pyoci.registry.download", "pyoci.registry.naming"}
    assert not loaded & {"pyoci.image.decode", "pyoci.content.graph"}, "no document is decoded"


def test_the_kernel_sees_neither_socket_nor_process(build: Build, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace not installed")
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-o", str(trace), "-e", "trace=socket,socketpair,connect,process")
    build.run()
    build.run(*strace)
    calls = [re.sub(r"^\d+ +", "", line) for line in trace.read_text().splitlines()]
    assert sum(call.startswith("execve(") for call in calls) == 1
    processes = [call for call in calls if re.match(r"(v?fork|clone3?)\(", call) and "CLONE_THREAD" not in call]
    assert not processes
    assert not [call for call in calls if re.match(r"(socket|socketpair|connect)\(", call)]


@pytest.mark.parametrize("arguments", [["--version"], ["build", "--help"]], ids=" ".join)
def test_asking_for_help_loads_no_library(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "sitecustomize.py").write_text(LISTENER)
    counts = tmp_path / "counts.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))), "COUNTS": str(counts)}
    subprocess.run(
        [sys.executable, "-m", "pyoci", *arguments], env=environment, capture_output=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(counts.read_text())["modules"]}
    assert not loaded & {"requests", "urllib3", "jsonschema", "rich", "zlib_ng", "isal", "backports", "ssl"}
