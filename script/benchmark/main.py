"""The order of it all: the registry, the bases, the tools; then job by job, round by round, every tool in turn."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from benchmark.chart import svg
from benchmark.jobs import Job, all_jobs
from benchmark.machine import describe
from benchmark.measure import CommandFailed, Usage, adopt_orphans, measure, own_network
from benchmark.peers import LOADED, all_tools
from benchmark.registry import NotThere, Registry, running_registry
from benchmark.report import (
    BEGIN,
    END,
    JobResult,
    Report,
    ToolResult,
    json_document,
    markdown,
    redacted,
    splice,
    terminal,
)
from benchmark.tools import LAYERS, MANY_FILES, Lab, Tool, files_below, unmount_below
from benchmark.workload import CHECKOUT, FULL, QUICK, Workload

__all__ = ["main"]

BENCH = CHECKOUT / ".bench"
PYOCI = BENCH / "venv/bin/pyoci"
TIMEOUT_SECONDS = 900.0
FORGETTING_SECONDS = 65
"""See `set_aside`."""
TOOLS = ("pyoci", "buildkit", "docker", "buildah", "podman", "umoci", "skopeo", "crane", "ko", "bare")


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 where every job ran, whatever the peers did; 1 where pyoci failed in one."""
    options = read_options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs inherit an ignored SIGINT
        signal.signal(number, interrupted)
    adopt_orphans()
    try:
        report = run(options)
    except (OSError, NotThere, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started is ended", file=sys.stderr)
        return 130
    print(terminal(report), end="")
    write_files(report, options)
    ours = [found for job in report.jobs for found in job.tools if found.tool == "pyoci"]
    return 1 if any(found.failure for found in ours) else 0


def interrupted(number: int, frame: object) -> NoReturn:
    """What both signals do: an exception, so that everything is ended; what ends it is not interrupted again."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="script/bench", description="pyoci and its peers, job by job in the same run."
    )
    parser.add_argument("--jobs", metavar="A,B", help="these alone; --list names them")
    parser.add_argument("--tools", metavar="X,Y", help=f"these alone of {', '.join(TOOLS)}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often (default: 3)")
    parser.add_argument("--quick", action="store_true", help="2,000 files and 50 MB where it would be 20,000 and 500")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write tables, between its marks if FILE has them"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a bar chart")
    parser.add_argument("--list", action="store_true", help="print the names of the jobs and do none")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    for path in (options.json, options.markdown, options.svg):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"there is no directory for {path}")
    if options.markdown and options.markdown.exists():
        try:
            splice(options.markdown.read_text(), "")
        except ValueError as error:
            parser.error(f"{options.markdown}: {error}")
    nothing = Registry("registry", 0, Path())
    names = [name for name, _ in all_jobs(Workload(BENCH, FULL), nothing)]
    if options.list:
        print("\n".join(names))
        sys.exit(0)
    options.jobs = chosen(parser, options.jobs, names)
    options.tools = chosen(parser, options.tools, TOOLS)
    return options


def chosen(parser: argparse.ArgumentParser, given: str | None, known: Sequence[str]) -> list[str]:
    """The names in a list with commas, all where none is given; a name that is not known ends the program."""
    names = given.split(",") if given else list(known)
    for name in names:
        if name not in known:
            parser.error(f"no {name!r}; there are {', '.join(known)}")
    return names


@dataclass(slots=True)
class Bench:
    """What a run has at hand."""

    lab: Lab
    registry: Registry
    tools: list[Tool]
    missing: dict[str, str]

    def call(self, tool: Tool, line: str) -> str:
        """Runs a line whose cost does not count."""
        return self._run(tool, line)[1]

    def measured(self, tool: Tool, job: Job) -> tuple[Usage, str]:
        """Runs a job as often as it says; the medians, and what the last run printed."""
        line = tool.command(job.task(tool)) or ""
        if job.kind == "version":
            line = f"exec {line}"  # a shell that waits would be a good part of the figure
        runs = [self._run(tool, line, daemon=job.kind != "version") for _ in range(job.repeats)]
        usages = [usage for usage, _ in runs]
        usage = Usage(
            statistics.median(one.wall_seconds for one in usages),
            statistics.median(one.cpu_seconds for one in usages),
            max(one.peak_bytes for one in usages),
            round(statistics.median(one.loopback_bytes for one in usages)),
        )
        return usage, runs[-1][1]

    def _run(self, tool: Tool, line: str, *, daemon: bool = True) -> tuple[Usage, str]:
        output = self.lab.run / f"{tool.name}.output"
        daemons = tool.pids() if daemon else ()
        servers = {self.registry.pid, *(pid for other in self.tools for pid in other.pids())}
        usage = measure(
            ["sh", "-c", line],
            environment=tool.environment(),
            directory=self.lab.place(tool.name),
            output=output,
            daemons=daemons,
            strangers=servers - set(daemons),
            timeout_seconds=TIMEOUT_SECONDS,
        )
        return usage, output.read_text(errors="replace")

    def reason(self, error: Exception) -> str:
        """A failure in a line that says nothing of this machine."""
        places = (self.lab.run, self.lab.work, BENCH, CHECKOUT)
        return redacted(" ".join(str(error).split()), places, self.registry.address)[:200]


def run(options: argparse.Namespace) -> Report:
    """Everything between the command line and the report."""
    workload = Workload(BENCH / "contexts", QUICK if options.quick else FULL)
    workload.directory.mkdir(parents=True, exist_ok=True)
    say("making the contexts of the bases")
    workload.lay_out_bases()
    if not own_network():  # before any thread and any daemon; from here on nothing but loopback is in reach
        say("not alone on the loopback interface: bytes of other programs count too")
    with prepared(workload, options.tools, options.jobs) as bench:
        machine = describe(BENCH, versions(bench.tools))
        jobs = dict(all_jobs(workload, bench.registry))
        results = []
        for name in options.jobs:
            say(f"{name}: preparing")
            results.append(do(jobs[name](), bench, options.rounds))
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return Report(day, options.rounds, options.quick, machine, bench.missing, tuple(results))


def versions(tools: Sequence[Tool]) -> dict[str, str]:
    """Of the tools and of the registry, as they say; "unknown" where one does not."""
    found = {}
    for tool in tools:
        try:
            found[tool.name] = tool.version()
        except (OSError, IndexError, subprocess.SubprocessError) as error:
            say(f"{tool.name} does not tell its version: {error}")
            found[tool.name] = "unknown"
    done = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True, check=False)
    return {**found, "docker-registry": " ".join(done.stdout.split()[-1:])}


@contextmanager
def prepared(workload: Workload, names: Sequence[str], jobs: Sequence[str]) -> Iterator[Bench]:
    """The registry with the bases in it, and the tools, started; all of it is ended with the block."""
    work = BENCH / "work"
    with ExitStack() as stack:
        lock = stack.enter_context((BENCH / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotThere("another run of script/bench is going on in this checkout") from error
        run_directory = Path(tempfile.mkdtemp(prefix="pyoci-bench-"))
        stack.callback(remove, run_directory)
        remove(work)
        work.mkdir(parents=True)
        stack.callback(remove, work)
        registry = stack.enter_context(running_registry(BENCH / "registry", run_directory))
        push_bases(workload, registry, layers=bool({"pull", "pull-store"} & set(jobs)))
        if {"push", "push-store"} & set(jobs):
            lay_out_pushed(workload)
        lab = Lab(registry.address, workload.go_root, work, run_directory)
        bench = Bench(lab, registry, [], {})
        for tool in all_tools(lab, PYOCI):
            if tool.name not in names:
                continue
            if reason := tool.missing():
                bench.missing[tool.name] = reason
                continue
            stack.callback(without_errors, tool.stop)
            try:
                tool.start()
            except OSError as error:
                bench.missing[tool.name] = bench.reason(error)
                continue
            bench.tools.append(tool)
        yield bench


def without_errors(end: Callable[[], object]) -> None:
    """Ends something; that it cannot be ended is said, and keeps nothing else from its end."""
    try:
        end()
    except (OSError, subprocess.SubprocessError) as error:
        say(f"not ended as it should be: {error}")


def remove(directory: Path) -> None:
    """Removes a directory with whatever is mounted in it."""
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def push_bases(workload: Workload, registry: Registry, *, layers: bool) -> None:
    """Builds the bases of the jobs with pyoci and pushes them; kept from run to run where nothing changed. `layers`:
    whether the one that is pulled is wanted.
    """
    store = ["--store", str(BENCH / "bases")]
    contexts = {
        "static": workload.bases / "static",
        "golang": workload.bases / "golang",
        "shell": workload.shell_context(),
    }
    if layers:
        contexts[LAYERS] = workload.pulled_context()
    recipes = CHECKOUT / "examples/bases"
    for name, context in contexts.items():
        say(f"base {name}")
        recipe = recipes / name / "Dockerfile" if name in ("static", "golang") else context / "Dockerfile"
        reference = f"{registry.address}/bases/{name}:latest"
        command = [str(PYOCI), "build", *store, "--quiet", "--preflight=off", "--push", "-t", reference]
        command += ["--insecure-registry", registry.address, "-f", str(recipe)]
        if name in ("golang", "shell"):
            command += ["--build-context", f"static=docker-image://{registry.address}/bases/static:latest"]
        subprocess.run([*command, str(context)], check=True, stdout=subprocess.DEVNULL)


def lay_out_pushed(workload: Workload) -> None:
    """The image that is pushed, in no registry yet and made of other bytes than the one that is pulled: a tool that
    remembers where it has seen a blob would mount it.
    """

    def fill(target: Path) -> None:
        say("the image that is pushed")
        context = target / "context"
        context.mkdir()
        workload.fill_layers(context, 22)
        command = [str(PYOCI), "build", "--store", str(target / "store"), "--quiet", "--preflight=off", "-t", LOADED]
        command += ["-o", f"type=oci,tar=false,dest={target / 'layout'},name=latest"]
        command += ["-o", f"type=docker,dest={target / 'docker.tar'}"]
        subprocess.run([*command, str(context)], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(context)
        shutil.rmtree(target / "store")

    workload.kept(workload.pushed().name, fill)


def do(job: Job, bench: Bench, rounds: int) -> JobResult:
    """All rounds of one job: in each round every tool once, another one first each time."""
    able = [tool for tool in bench.tools if tool.command(job.task(tool)) is not None]
    runs: dict[str, list[Usage]] = {tool.name: [] for tool in able}
    failures: dict[str, str] = {}
    for number in range(rounds):
        turn = number % max(1, len(able))
        for tool in able[turn:] + able[:turn]:
            if tool.name in failures:
                continue
            try:
                job.reset(tool, number, bench.call)
                if number and job.state == "cold" and job.unpacks and tool.pids():
                    forget_deleted()  # a daemon deletes what it had; other stores were set aside
                usage, output = bench.measured(tool, job)
                job.verify(tool, number, output, bench.call)
            except (CommandFailed, NotThere, OSError, subprocess.SubprocessError) as error:
                failures[tool.name] = bench.reason(error)
                say(f"{job.name}: {tool.name} failed: {failures[tool.name]}")
                continue
            runs[tool.name].append(usage)
            say(f"{job.name}: round {number + 1}: {tool.name} {usage.wall_seconds:.2f} s")
    without_errors(lambda: job.end(able))
    if clear_attic(bench.lab.attic) or (job.unpacks and any(tool.pids() for tool in able)):
        forget_deleted()
    found = [
        ToolResult(tool.name, tool.reads_dockerfiles, tuple(runs[tool.name]), failures.get(tool.name, ""))
        for tool in able
    ]
    return JobResult(job.name, job.title, tuple(found))


def clear_attic(attic: Path) -> bool:
    """Deletes the stores that were set aside; whether those were many files."""
    many = files_below(attic, at_most=MANY_FILES) == MANY_FILES
    remove(attic)
    return many


def forget_deleted() -> None:
    """Waits until files that were deleted cost nobody anything any more (`set_aside`)."""
    say(f"waiting for {FORGETTING_SECONDS} s, until inodes that were deleted count for nothing")
    os.sync()
    time.sleep(FORGETTING_SECONDS)


def say(words: str) -> None:
    """Progress, to stderr."""
    print(words, file=sys.stderr, flush=True)


def write_files(report: Report, options: argparse.Namespace) -> None:
    """The forms that the command line asks for."""
    if options.json:
        options.json.write_text(json.dumps(json_document(report), indent=1, ensure_ascii=False) + "\n")
    if options.svg:
        options.svg.write_text(svg(report))
    if options.markdown:
        chart = os.path.relpath(options.svg, options.markdown.parent) if options.svg else ""
        tables = markdown(report, chart)
        old = options.markdown.read_text() if options.markdown.exists() else f"{BEGIN}\n{END}\n"
        options.markdown.write_text(splice(old, tables))
