"""What is built: the contexts of the jobs, made once and kept under .bench/contexts.

All of it follows from fixed seeds, so that every run on every machine has the same bytes.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHECKOUT", "FULL", "QUICK", "Sizes", "Workload"]

CHECKOUT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000
FILES_PER_DIRECTORY = 100
LAYER_SHARES = (40, 24, 16, 12, 8)
"""How many hundredths of all bytes each layer of the image has that is pulled and pushed."""
MARKER = "user: %s"
"""What an edit of the Go program changes: the format that it prints."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much the large jobs carry."""

    files: int
    megabytes: int


FULL = Sizes(20_000, 500)
QUICK = Sizes(2_000, 50)


@dataclass(frozen=True, slots=True)
class Workload:
    """The contexts below `directory`, and the Go toolchain that is in the builder image."""

    directory: Path
    sizes: Sizes

    @property
    def go_root(self) -> Path:
        """The toolchain of the builder image, for the tools that use the machine's."""
        return self.bases / "golang/rootfs/usr/local/go"

    @property
    def bases(self) -> Path:
        """The contexts `static` and `golang` of examples/bases."""
        return self.directory / "bases"

    def kept(self, name: str, fill: Callable[[Path], None]) -> Path:
        """The directory of that name, filled if it is not there."""
        target = self.directory / name
        if not target.is_dir():
            partial = self.directory / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            fill(partial)
            partial.rename(target)
        return target

    def lay_out_bases(self) -> None:
        """Downloads the wheels of the bases, as script/demo does, and lays out their contexts."""
        recipe = CHECKOUT / "examples/bases"
        if self.go_root.is_dir():
            return
        wheels = self.directory / "wheels"
        machine = os.uname().machine
        platforms = [f"--platform=manylinux_{version}_{machine}" for version in ("2_17", "2_28")]
        python = subprocess.run([CHECKOUT / "script/python"], capture_output=True, text=True, check=True).stdout.strip()
        download = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        download += ["--only-binary=:all:", *platforms, "--require-hashes", "--dest", str(wheels)]
        subprocess.run([*download, "--requirement", str(recipe / "requirements.txt")], check=True)
        subprocess.run([sys.executable, str(recipe / "contexts.py"), str(wheels), str(self.bases)], check=True)

    def go_program(self, name: str, registry: str, *, cache_mount: bool) -> Path:
        """The program of examples/goapp with a Dockerfile on the bases of the registry."""
        target = self.fresh(name)
        for file in ("go.mod", "app.go"):
            shutil.copy(CHECKOUT / "examples/goapp" / file, target)
        mount = "--mount=type=cache,target=/root/.cache/go-build " if cache_mount else ""
        write(
            target / "Dockerfile",
            f"FROM {registry}/bases/golang:latest AS builder",
            "WORKDIR /src",
            "COPY go.mod app.go ./",
            f'RUN {mount}GOCACHE=/root/.cache/go-build CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/app .',
            f"FROM {registry}/bases/static:latest",
            "COPY --from=builder /out/app /usr/local/bin/app",
            'ENTRYPOINT ["/usr/local/bin/app"]',
        )
        return target

    def binary_context(self, name: str, registry: str) -> Path:
        """A Go program that is built already, and the Dockerfile that copies it onto the static base."""
        target = self.fresh(name)
        shutil.copy(self.kept("programs", self._compile) / "app", target / "app")
        write(
            target / "Dockerfile",
            f"FROM {registry}/bases/static:latest",
            "COPY app /usr/local/bin/app",
            'ENTRYPOINT ["/usr/local/bin/app"]',
        )
        return target

    def tree_context(self) -> Path:
        """Many small files and a few large ones, and the Dockerfile that copies all of them."""
        return self.kept(f"tree-{self.sizes.files}-{self.sizes.megabytes}", self._fill_tree)

    def layer_context(self, *, compressible: bool) -> Path:
        """One large file, of random bytes or of words, and the Dockerfile that copies it."""
        kind = "compressible" if compressible else "incompressible"

        def fill(target: Path) -> None:
            (target / "tree").mkdir()
            block = words(random.Random(2)) if compressible else None
            write_large(target / "tree/blob", self.sizes.megabytes, random.Random(1), block)
            write(target / "Dockerfile", "FROM scratch", "COPY tree /tree")

        return self.kept(f"{kind}-{self.sizes.megabytes}", fill)

    def unpack_context(self, registry: str) -> Path:
        """A step that needs the files of the builder image, for tools that unpack an image only to run something."""
        target = self.fresh("unpack")
        write(target / "Dockerfile", f"FROM {registry}/bases/golang:latest", "RUN test -x /usr/local/go/bin/go")
        return target

    def pulled_context(self) -> Path:
        """Several layers of random bytes, and the Dockerfile that makes an image of them."""
        return self.kept(f"pulled-{self.sizes.megabytes}", lambda target: self.fill_layers(target, 21))

    def pushed(self) -> Path:
        """A directory with such an image as an OCI layout and as an archive for docker; `lay_out_pushed` makes it."""
        return self.directory / f"pushed-{self.sizes.megabytes}"

    def fill_layers(self, target: Path, seed: int) -> None:
        """Five files of unlike sizes, each for a layer of its own."""
        chance = random.Random(seed)
        for number, share in enumerate(LAYER_SHARES):
            write_large(target / f"{number}", self.sizes.megabytes * share // 100, chance, None)
        write(target / "Dockerfile", "FROM scratch", *(f"COPY {number} /" for number in range(len(LAYER_SHARES))))

    def stages_context(self, registry: str, stages: int) -> Path:
        """Independent stages that sleep for two seconds each, and one that needs them all."""
        target = self.fresh("stages")
        lines = []
        for number in range(stages):
            lines += [f"FROM {registry}/bases/shell:latest AS s{number}", f"RUN sleep 2 && echo {number} > /{number}"]
        lines += ["FROM scratch", *(f"COPY --from=s{number} /{number} /{number}" for number in range(stages))]
        write(target / "Dockerfile", *lines)
        return target

    def shell_context(self) -> Path:
        """What the base of `stages_context` adds to the static one: a shell, and a program that sleeps."""
        return self.kept("shell", self._fill_shell)

    def fresh(self, name: str) -> Path:
        """An empty directory of that name."""
        target = self.directory / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return target

    def _fill_shell(self, target: Path) -> None:
        (target / "rootfs/bin").mkdir(parents=True)
        shutil.copy(self.bases / "golang/rootfs/bin/sh", target / "rootfs/bin/sh")
        shutil.copy(self.kept("programs", self._compile) / "sleep", target / "rootfs/bin/sleep")
        write(target / "Dockerfile", "FROM static", "COPY rootfs /")

    def _compile(self, target: Path) -> None:
        sleep = self.fresh("sleep.source")
        write(sleep / "go.mod", "module example.com/sleep", "", "go 1.19")
        write(
            sleep / "sleep.go",
            "package main",
            'import ("os"; "strconv"; "time")',
            "func main() {",
            "\tseconds, _ := strconv.ParseFloat(os.Args[1], 64)",
            "\ttime.Sleep(time.Duration(seconds * float64(time.Second)))",
            "}",
        )
        for name, source in (("app", CHECKOUT / "examples/goapp"), ("sleep", sleep)):
            subprocess.run(
                [self.go_root / "bin/go", "build", "-trimpath", "-ldflags=-s -w", "-o", target / name, "."],
                cwd=source,
                env=go_environment(self.go_root, self.directory / "go-build"),
                check=True,
            )
        shutil.rmtree(sleep)
        shutil.rmtree(self.directory / "go-build", ignore_errors=True)

    def _fill_tree(self, target: Path) -> None:
        chance = random.Random(3)
        text = words(chance)
        for number in range(self.sizes.files):
            directory = target / f"tree/{number // FILES_PER_DIRECTORY:04}"
            if number % FILES_PER_DIRECTORY == 0:
                directory.mkdir(parents=True)
            start = chance.randrange(len(text) // 2)
            (directory / f"{number:06}.txt").write_bytes(text[start : start + chance.randrange(100, 4000)])
        halves = self.sizes.megabytes // 2
        write_large(target / "tree/random", self.sizes.megabytes - halves, chance, None)
        write_large(target / "tree/words", halves, chance, text)
        write(target / "Dockerfile", "FROM scratch", "COPY tree /tree")


def go_environment(go_root: Path, cache: Path) -> dict[str, str]:
    """A Go toolchain that fetches nothing and keeps what it compiled in `cache`."""
    return {
        "PATH": f"{go_root}/bin:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(cache),
        "GOROOT": str(go_root),
        "GOCACHE": str(cache),
        "GOPATH": str(cache / "path"),
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
    }


def write(path: Path, *lines: str) -> None:
    """A text file of those lines."""
    path.write_text("".join(f"{line}\n" for line in lines))


def words(chance: random.Random) -> bytes:
    """Four megabytes of words from a vocabulary, which compress about as program text does."""
    vocabulary = ["".join(chance.choices("etaoinshrdlu", k=chance.randrange(2, 11))) for _ in range(3000)]
    text = " ".join(chance.choices(vocabulary, k=700_000))
    return text[: 4 * MEGABYTE].encode()


def write_large(path: Path, megabytes: int, chance: random.Random, block: bytes | None) -> None:
    """A file of that size: `block` again and again, or random bytes."""
    with path.open("wb") as out:
        for _ in range(megabytes):
            if block is None:
                out.write(chance.randbytes(MEGABYTE))
            else:
                start = chance.randrange(len(block) - MEGABYTE)
                out.write(block[start : start + MEGABYTE])


def edit_source(context: Path, marker: str) -> None:
    """Changes what the Go program prints, and with it the binary."""
    original = (CHECKOUT / "examples/goapp/app.go").read_text()
    (context / "app.go").write_text(original.replace(MARKER, f"{marker} {MARKER}"))


def edit_binary(context: Path, original: Path, marker: str) -> None:
    """Another binary of nearly the same size."""
    (context / "app").write_bytes(original.read_bytes() + marker.encode())
