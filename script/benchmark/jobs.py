"""The jobs: what each starts from, what is measured, and how the result is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.registry import BASES, NotThere, Registry
from benchmark.tools import LAYERS, Kind, State, Task, Tool
from benchmark.workload import LAYER_SHARES, Workload, edit_binary, edit_source

__all__ = ["STAGES", "Job", "Runner", "all_jobs"]

STAGES = 10
APP = "usr/local/bin/app"
KO_APP = "ko-app/"

Runner = Callable[[Tool, str], str]
"""Runs a shell line in a tool's environment and returns what it printed; what it takes is not measured."""


@dataclass(slots=True)
class Job:
    """A row of the table.

    `cold`: the tool's store is emptied and nothing of the repository is in the registry; only the bases are.
    `unchanged`: the same was built and pushed before. `edited`: something else was, and the source has changed since.
    """

    name: str
    title: str
    kind: Kind
    state: State
    context: Path
    registry: Registry
    workload: Workload
    repeats: int = 1
    """How many runs one figure is the median of, where a run is very short."""
    _begun: set[str] = field(default_factory=set)
    _digests: dict[str, str] = field(default_factory=dict)

    @property
    def unpacks(self) -> bool:
        """Whether builders put the builder image on disk."""
        return self.kind in ("go", "go-cache", "unpack")

    def repository(self, tool: Tool) -> str:
        """Where this tool pushes to in this job."""
        return f"{self.name}/{tool.name}"

    def task(self, tool: Tool) -> Task:
        """What the tool is asked to do."""
        return self._task(tool, self.kind)

    def _task(self, tool: Tool, kind: Kind) -> Task:
        return Task(kind, self.context, self.repository(tool), self.state)

    def reset(self, tool: Tool, round_number: int, run: Runner) -> None:
        """Brings about the state that the job starts from; not measured."""
        if self.kind == "version":
            return
        if self.state == "cold":
            tool.empty()
            self.registry.forget()
            if self.kind == "push-store" and (line := tool.command(self._task(tool, "load"))):
                run(tool, line)
            return
        if tool.name not in self._begun:
            tool.empty()
            self._edit("before")
            if line := tool.command(Task(self.kind, self.context, self.repository(tool), "cold")):
                run(tool, line)
            self._begun.add(tool.name)
        if self.state == "unchanged":
            if tool.reads_dockerfiles:
                self._digests[tool.name] = self.registry.digest(self.repository(tool))
        else:
            self._edit(marker(round_number))

    def _edit(self, mark: str) -> None:
        if self.kind in ("go", "go-cache"):
            edit_source(self.context, mark)
        elif self.kind == "binary":
            edit_binary(self.context, self.workload.directory / "programs/app", mark)

    def verify(self, tool: Tool, round_number: int, output: str, run: Runner) -> None:
        """Looks whether the job is done: the image in the registry with every blob, the files in it or on the disk.

        Raises:
            NotThere, CommandFailed: it is not.
        """
        if self.kind == "version" or tool.name == "bare":
            return
        if self.kind == "unpack":
            root = tool.unpacked(output)
            if root is not None and not (root / "usr/local/go/bin/go").is_file():
                raise NotThere("the compiler is not in what was unpacked")
            return
        if self.kind == "pull":
            self.registry.check_layout(f"{BASES}/{LAYERS}", tool.layout())
            return
        if self.kind == "pull-store":
            run(tool, tool.command(self._task(tool, "look")) or "false")
            return
        repository = self.repository(tool)
        self.registry.check_blobs(repository)
        if self.kind in ("push", "push-store"):
            if len(self.registry.manifest(repository)["layers"]) != len(LAYER_SHARES):
                raise NotThere("what was pushed has other layers")
            return
        if self.state == "unchanged":
            if self._digests.get(tool.name, "") not in ("", self.registry.digest(repository)):
                raise NotThere("an unchanged build has another digest")
            return
        self._look_inside(repository, round_number)

    def _look_inside(self, repository: str, round_number: int) -> None:
        entries = 0
        for entry, data in self.registry.last_layer(repository):
            entries += entry.isfile()
            path = entry.name.lstrip("./")
            if path == APP or path.startswith(KO_APP):
                wanted = marker(round_number).encode() if self.state == "edited" else b"\x7fELF"
                if entry.isfile() and wanted not in data:
                    raise NotThere("the program in the image is not that of the source")
        expected = {"tree": self.workload.sizes.files + 2}.get(self.kind, 1)
        if entries != expected:
            raise NotThere(f"the last layer has {entries} files, not {expected}")

    def end(self, tools: list[Tool]) -> None:
        """Empties every store, so that the next job finds nothing of this one."""
        for tool in tools:
            tool.empty()
        self.registry.forget()


def marker(round_number: int) -> str:
    """What the source of a round says that no other does."""
    return f"round-{round_number}"


def all_jobs(workload: Workload, registry: Registry) -> list[tuple[str, Callable[[], Job]]]:
    """Every job by name, its contexts not yet made."""
    address = registry.address
    tree = f"{workload.sizes.files:,} small files and {workload.sizes.megabytes} MB"
    large = f"a layer of {workload.sizes.megabytes} MB"
    found: list[tuple[str, Callable[[], Job]]] = []

    def add(name: str, title: str, kind: Kind, state: State, context: Callable[[], Path], repeats: int = 1) -> None:
        found.append((name, lambda: Job(name, title, kind, state, context(), registry, workload, repeats)))

    def go() -> Path:
        return workload.go_program("goapp", address, cache_mount=False)

    def cached() -> Path:
        return workload.go_program("goapp-cached", address, cache_mount=True)

    def binary() -> Path:
        return workload.binary_context("binary", address)

    add("go-cold", "cold multi-stage Go build, pushed", "go", "cold", go)
    add("go-unchanged", "Go build again, nothing changed, pushed", "go", "unchanged", go)
    add("go-edited", "Go build, source edited, pushed", "go", "edited", go)
    add("go-cache-mount", "Go build, source edited, with a cache mount for Go's cache", "go-cache", "edited", cached)
    add("binary-cold", "binary copied onto a static base, cold", "binary", "cold", binary)
    add("binary-unchanged", "binary copied onto a static base, nothing changed", "binary", "unchanged", binary)
    add("binary-changed", "binary copied onto a static base, binary changed", "binary", "edited", binary)
    add("tree-cold", f"COPY of {tree}, cold", "tree", "cold", workload.tree_context)
    add("tree-unchanged", f"COPY of {tree}, nothing changed", "tree", "unchanged", workload.tree_context)
    add("unpack", "builder image pulled and unpacked", "unpack", "cold", lambda: workload.unpack_context(address))
    add(
        "layer-incompressible",
        f"{large} made and pushed, incompressible",
        "layer",
        "cold",
        lambda: workload.layer_context(compressible=False),
    )
    add(
        "layer-compressible",
        f"{large} made and pushed, compressible",
        "layer",
        "cold",
        lambda: workload.layer_context(compressible=True),
    )
    several = f"{len(LAYER_SHARES)} layers of {workload.sizes.megabytes} MB together"
    add("pull", f"{several}: registry to OCI layout", "pull", "cold", workload.pulled_context)
    add("push", f"{several}: OCI layout to registry", "push", "cold", workload.pushed)
    add("pull-store", f"{several}: registry to the tool's store", "pull-store", "cold", workload.pulled_context)
    add("push-store", f"{several}: the tool's store to registry", "push-store", "cold", workload.pushed)
    add(
        "stages",
        f"{STAGES} independent stages of RUN sleep 2",
        "stages",
        "cold",
        lambda: workload.stages_context(address, STAGES),
    )
    add("version", "--version", "version", "cold", lambda: workload.fresh("nothing"), repeats=10)
    return found
