"""What a tool is to the benchmark, and pyoci and the bare tools as the first two of them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

__all__ = [
    "LAYERS",
    "MANY_FILES",
    "Bare",
    "Daemonless",
    "Kind",
    "Lab",
    "Pyoci",
    "State",
    "Task",
    "Tool",
    "files_below",
    "joined",
    "needs_root",
    "set_aside",
    "unmount_below",
]

Build = Literal["go", "go-cache", "binary", "tree", "layer", "unpack", "stages", "version"]
Transfer = Literal["pull", "push", "pull-store", "push-store", "load", "look"]
"""`load` and `look` are never measured: `load` puts an image into the store that `push-store` pushes, and `look` fails
where the store has not got what `pull-store` pulled.
"""
Kind: TypeAlias = Build | Transfer

LAYERS = "layers"
"""The base that is pulled: an image of several layers."""

State = Literal["cold", "unchanged", "edited"]

DOCKERFILES: frozenset[Kind] = frozenset({"go", "go-cache", "binary", "tree", "layer", "stages"})
"""What every builder does in the same way: build the Dockerfile, push the result."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Where the tools work: the registry, the toolchain of the builder image, and a directory for each tool."""

    registry: str
    go_root: Path
    work: Path
    run: Path
    """Short enough for sockets, which 108 bytes must name."""

    @property
    def attic(self) -> Path:
        """Where stores wait for the end of a job."""
        return self.work / "attic"

    def place(self, name: str) -> Path:
        """The directory of a tool, made if need be."""
        place = self.work / name
        place.mkdir(parents=True, exist_ok=True)
        return place


@dataclass(frozen=True, slots=True)
class Task:
    """One job for one tool: what kind it is, the context, and the repository that it is pushed to.

    `state` says what is there from runs before this one: nothing, the same, or what was built from another source.
    """

    kind: Kind
    context: Path
    repository: str
    state: State = "cold"


class Tool(Protocol):
    """One that can do some of the jobs."""

    @property
    def name(self) -> str:
        """As the report has it."""

    @property
    def reads_dockerfiles(self) -> bool:
        """Whether it does the job as the Dockerfile says it."""

    def missing(self) -> str:
        """Why it cannot be used here; empty where it can."""

    def version(self) -> str:
        """Its version, in a few words."""

    def start(self) -> None:
        """Starts its daemon, where it has one."""

    def stop(self) -> None:
        """Ends what it started, and takes its mounts away."""

    def pids(self) -> tuple[int, ...]:
        """The processes that it started."""

    def empty(self) -> None:
        """Leaves its store as if it had never been used; a daemon goes on running."""

    def environment(self) -> dict[str, str]:
        """What its commands run in."""

    def command(self, task: Task) -> str | None:
        """The shell line that does the task, pushed where something is built; None where it cannot."""

    def unpacked(self, output: str) -> Path | None:
        """Where the files are after `unpack`, given what was printed; None where they are the daemon's alone."""

    def layout(self) -> Path:
        """Where the OCI layout is after `pull`."""


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def joined(*words: str | Path) -> str:
    """A command as the shell reads it."""
    return shlex.join(map(str, words))


def absent(programs: Sequence[str]) -> str:
    """Which of the programs is not on PATH."""
    return ", ".join(f"no {name} on PATH" for name in programs if shutil.which(name) is None)


def needs_root(programs: Sequence[str]) -> str:
    """Why these cannot be used, where they work as root alone."""
    return absent(programs) or ("needs root" if os.geteuid() != 0 else "")


def own_environment(place: Path) -> dict[str, str]:
    """A home and a temporary directory of the tool's own, and nothing of the user's."""
    for name in ("home", "tmp"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "home/config.json").write_text("{}\n")  # no login; buildah wants the file where DOCKER_CONFIG is set
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "LANG": "C.UTF-8",
        "DOCKER_CONFIG": str(place / "home"),
    }


def printed(*command: str | Path) -> str:
    """What a short command prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def unmount_below(directory: Path) -> None:
    """Takes away every mount below the directory, the innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    points = [point.encode().decode("unicode_escape") for point in points]
    for point in reversed([point for point in points if Path(point).is_relative_to(directory)]):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def remove_below(directory: Path) -> None:
    """Removes what is in the directory, mounts first."""
    unmount_below(directory)
    for child in directory.iterdir() if directory.is_dir() else ():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


MANY_FILES = 1000


def files_below(directory: Path, *, at_most: int) -> int:
    """How many files and directories there are, counted as far as that."""
    count = 0
    for _, directories, files in os.walk(directory):
        count += len(directories) + len(files)
        if count >= at_most:
            return at_most
    return count


def set_aside(directory: Path, attic: Path) -> None:
    """Empties the directory; many files are not deleted but moved, since what is measured next would pay for that.

    ext4 gives no inode out again within a minute of its deletion, or within six where that is not yet on the disk, and
    looks at all of those each time that it searches for a free one. Whoever unpacked 13,000 files where as many had
    been deleted a moment ago took up to 9 s of system time, and 0.8 s elsewhere.
    """
    unmount_below(directory)
    for child in sorted(directory.iterdir()) if directory.is_dir() else ():
        if child.is_dir() and not child.is_symlink() and files_below(child, at_most=MANY_FILES) == MANY_FILES:
            attic.mkdir(exist_ok=True)
            child.rename(attic / str(sum(1 for _ in attic.iterdir())))
    remove_below(directory)


@dataclass(slots=True)
class Daemonless:
    """A tool of one program, whose store is its directory."""

    lab: Lab
    name: str
    programs: tuple[str, ...]
    reads_dockerfiles: bool = True

    def missing(self) -> str:
        return absent(self.programs)

    def start(self) -> None:
        self.lab.place(self.name)

    def stop(self) -> None:
        remove_below(self.lab.place(self.name))

    def pids(self) -> tuple[int, ...]:
        return ()

    def empty(self) -> None:
        set_aside(self.lab.place(self.name), self.lab.attic)

    def environment(self) -> dict[str, str]:
        return own_environment(self.lab.place(self.name))

    def unpacked(self, output: str) -> Path | None:
        return None

    def reference(self, task: Task) -> str:
        """The name of what is pushed."""
        return f"{self.lab.registry}/{task.repository}:latest"

    def layout(self) -> Path:
        """Where `pull` puts an OCI layout."""
        return self.lab.place(self.name) / "layout"

    def base(self, name: str) -> str:
        """The name of a base."""
        return f"{self.lab.registry}/bases/{name}:latest"


class Pyoci(Daemonless):
    """The wheel of this checkout."""

    def __init__(self, lab: Lab, program: Path) -> None:
        super().__init__(lab, "pyoci", ())
        self._program = program

    def version(self) -> str:
        return printed(self._program, "--version")

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined(self._program, "--version")
        options: list[str | Path] = [
            "--store",
            self.lab.place(self.name) / "store",
            "--insecure-registry",
            self.lab.registry,
        ]
        here, there, pulled = f"oci-layout:{task.context}/layout", self.reference(task), self.base(LAYERS)
        match task.kind:
            case "unpack":
                return joined(self._program, "build", *options, "-t", "unpacked", task.context)
            case "pull":
                return joined(self._program, "copy", *options, pulled, f"oci-layout:{self.layout()}:latest")
            case "push":
                return joined(self._program, "copy", *options, here, there)
            case "load":
                return joined(self._program, "copy", *options, here, f"store:{there}")
            case "pull-store":
                return joined(self._program, "pull", *options, pulled)
            case "push-store":
                return joined(self._program, "push", *options, there)
            case "look":
                return joined(self._program, "inspect", "--store", options[1], pulled)
            case _:
                pass
        return joined(self._program, "build", *options, "--push", "-t", self.reference(task), task.context)


class Bare(Daemonless):
    """No image builder at all: what curl, tar, gzip, cp and the Go toolchain need for the heart of a job.

    It is the floor, not a peer: nothing is cached, checked or described by it.
    """

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "bare", ("curl", "tar", "gzip", "sha256sum"), reads_dockerfiles=False)

    def version(self) -> str:
        return printed("tar", "--version").splitlines()[0]

    def environment(self) -> dict[str, str]:
        place = self.lab.place(self.name)
        return {
            **own_environment(place),
            "GOCACHE": str(place / "go-build"),
            "GOPATH": str(place / "go"),
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }

    def command(self, task: Task) -> str | None:
        place = shlex.quote(str(self.lab.place(self.name)))
        go = shlex.quote(str(self.lab.go_root / "bin/go"))
        context = shlex.quote(str(task.context))
        compile_it = f"build -C {context} -trimpath -ldflags='-s -w' -o {place}/app ."
        push_it = f"tar -C {place} -c app | gzip -1 > {place}/blob && {self._push(task)}"
        match task.kind, task.state:
            case "go", "cold":
                return f"{self._unpack()} && {place}/root/usr/local/go/bin/go {compile_it} && {push_it}"
            case "go", "edited":
                return f"rm -rf {place}/go-build && {go} {compile_it} && {push_it}"
            case ("go", "unchanged"):
                manifest = f"http://{self.lab.registry}/v2/bases/static/manifests/latest"
                return f"curl -fsS -o /dev/null -I -H 'Accept: {OCI_MANIFEST}' {manifest}"
            case "go-cache", _:
                return f"{go} {compile_it} && {push_it}"
            case "tree", "cold":
                return f"cp -a {context}/tree {place}/copy"
            case "tree", _:
                return f"find {context}/tree -newer {context}/Dockerfile"
            case "layer", _:
                return f"tar -C {context} -c tree > {place}/blob && {self._push(task)}"
            case "unpack", _:
                return self._unpack()
            case "pull", _:
                return self._fetch()
            case "push", _:
                return self._send(task)
            case "stages", _:
                return "for stage in 1 2 3 4 5 6 7 8 9 10; do sleep 2 & done; wait"
            case "version", _:
                return joined(sys.executable, "-I", "-S", "-c", "")
            case _:
                return None

    def _unpack(self) -> str:
        """Every layer of the builder image, one after the other."""
        root = shlex.quote(str(self.lab.place(self.name) / "root"))
        url = f"http://{self.lab.registry}/v2/bases/golang"
        manifest = f"curl -fsS -H 'Accept: {OCI_MANIFEST}' {url}/manifests/latest"
        digests = f"{manifest} | tr '{{' '\\n' | grep tar | grep -o 'sha256:[0-9a-f]*'"
        layers = f"for digest in $({digests}); do curl -fsS {url}/blobs/$digest | tar -C {root} -xz || exit 1; done"
        return f"mkdir -p {root} && {layers}"

    def _fetch(self) -> str:
        """Every layer into a file of its own, all at once."""
        place = shlex.quote(str(self.lab.place(self.name)))
        url = f"http://{self.lab.registry}/v2/bases/{LAYERS}"
        manifest = f"curl -fsS -H 'Accept: {OCI_MANIFEST}' {url}/manifests/latest"
        digests = f"{manifest} | tr '{{' '\\n' | grep tar | grep -o 'sha256:[0-9a-f]*'"
        one = f"(curl -fsS -o {place}/$digest {url}/blobs/$digest || touch {place}/failed) &"
        return f"for digest in $({digests}); do {one} done; wait; test ! -e {place}/failed"

    def _send(self, task: Task) -> str:
        """Every blob of the layout, all at once; no manifest."""
        place = shlex.quote(str(self.lab.place(self.name)))
        blobs = shlex.quote(str(task.context / "layout/blobs/sha256"))
        uploads = f"http://{self.lab.registry}/v2/{task.repository}/blobs/uploads/"
        ask = f"curl -fsSi -X POST {uploads} | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'"
        send = f'curl -fsS -o /dev/null -H "Content-Type: application/octet-stream" -T {blobs}/$blob'
        one = f'(at=$({ask}) && {send} "$at&digest=sha256:$blob" || touch {place}/failed) &'
        return f"for blob in $(ls {blobs}); do {one} done; wait; test ! -e {place}/failed"

    def _push(self, task: Task) -> str:
        """One blob, named by its digest; no manifest."""
        blob = shlex.quote(str(self.lab.place(self.name) / "blob"))
        uploads = f"http://{self.lab.registry}/v2/{task.repository}/blobs/uploads/"
        ask = f"curl -fsSi -X POST {uploads} | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'"
        digest = f"$(sha256sum {blob} | cut -c 1-64)"
        send = f'curl -fsS -o /dev/null -H "Content-Type: application/octet-stream" -T {blob}'
        return f'at=$({ask}) && {send} "$at&digest=sha256:{digest}"'

    def unpacked(self, output: str) -> Path | None:
        return self.lab.place(self.name) / "root"
