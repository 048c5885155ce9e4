"""Looks for a text that the Dockerfile reader cannot bear: guided by coverage, the same for the same seed.

    .venv/bin/python script/fuzz/fuzz_dockerfile.py --runs 200000 --seed 1

Starts from the fixtures, changes texts and keeps those that take new jumps between lines of `pyoci/dockerfile`. What is
no Dockerfile must give errors that point into the text; what is one must pass the build checks and expand; nothing may
take long. Exits 1 at the first text that breaks this, which is written to --crash. Needs nothing to be installed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pyoci.cli.render_error import render  # noqa: E402 -- the checkout comes first
from pyoci.dockerfile.expand import expand_instruction  # noqa: E402
from pyoci.dockerfile.findings import BaseImage, CheckInputs  # noqa: E402
from pyoci.dockerfile.instructions import Dockerfile, Run, run_command  # noqa: E402
from pyoci.dockerfile.lint import check_dockerfile  # noqa: E402
from pyoci.dockerfile.mounts import mount_of  # noqa: E402
from pyoci.dockerfile.outline import outline  # noqa: E402
from pyoci.dockerfile.parser import decode_source, parse_dockerfile  # noqa: E402
from pyoci.dockerfile.patterns import parse_dockerignore  # noqa: E402
from pyoci.errors import DockerfileError, PyociError  # noqa: E402
from pyoci.platforms import Platform  # noqa: E402

SLOWEST_SECONDS = 5.0
LARGEST = 8192
TOKENS = [
    token.encode("utf-8", "surrogateescape")
    for token in (
        *("FROM ", "RUN ", "COPY ", "ADD ", "ENV ", "ARG ", "LABEL ", "CMD ", "ENTRYPOINT ", "EXPOSE ", "VOLUME "),
        *("USER ", "WORKDIR ", "SHELL ", "STOPSIGNAL ", "HEALTHCHECK ", "ONBUILD ", "MAINTAINER ", " AS ", "NONE"),
        *(
            "# escape=`\n",
            "# syntax=docker/dockerfile:1\n",
            "# check=skip=all\n",
            "#",
            "\n",
            "\\\n",
            "`\n",
            "\r\n",
            "\t",
        ),
        *("--", "--from=", "--chown=", "--chmod=", "--link", "--mount=type=cache,target=", "--mount=type=secret,id="),
        *("--exclude=", "--parents", "--network=", "--security=", "--device=", "--interval=1s ", "--checksum="),
        *(
            "--retries=",
            "--retries=+-3 ",
            "--from=0 ",
            "--from=" + "9" * 4400,
            "9" * 4400,
            "uid=",
            "size=1e9",
            "mode=",
            "+",
            "-",
        ),
        *("<<EOF", "<<-EOF", "<<'EOF'", "\nEOF\n", "$", "${", "}", ":-", ":+", ":?", "##", "%%", "//", "/", "*", "?"),
        *("'", '"', "\\", "`", "[", "]", '["a"]', ",", "=", " ", "é", "\u00a0", "\udcff", "\x00", "{}", "\\u", "1e999"),
        *("80-90/udp", "1.2.3.4:80:80", "u+rwX,go-w", "0755", "SIGTERM", "!", "**/", "[a-z]", "[^", "\ufeff"),
    )
]
INPUTS = CheckInputs(
    builtins={"TARGETPLATFORM": "linux/amd64", "BUILDPLATFORM": "linux/amd64"},
    target_platform=Platform("linux", "amd64"),
    base_image=lambda name, platform: BaseImage(env={"x": name}, on_build=(name,)),
)


class Broken(Exception):
    """The text shows a fault."""


def check(raw: bytes) -> None:
    """Reads a text in every way that a build does."""
    text = raw.decode("utf-8", "surrogateescape")
    values = {"x": text, "y": ""}
    try:
        dockerfile = parse_dockerfile(decode_source("Dockerfile", raw))
    except DockerfileError as error:
        check_errors([error, *error.others], text)
    else:
        use(dockerfile, values, text)
    try:
        ignore = parse_dockerignore(raw)
        for path in ("a", "a/b", "src/main.go"):
            ignore.excluded(path)
            ignore.may_reinclude_below(path)
            ignore.matches_path_or_parents(path)
    except DockerfileError:
        pass


def check_errors(errors: list[PyociError], text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    for error in errors:
        place = error.location
        if place is None:
            raise Broken(f"not located: {error.message}")
        if not 1 <= place.line <= len(lines) or not 1 <= place.column <= len(lines[place.line - 1]) + 1:
            raise Broken(f"located outside the text: {place}: {error.message}")
    shown = render(errors[0])
    if any(character < " " and character != "\n" for character in shown):
        raise Broken("a control character reaches the terminal")


def use(dockerfile: Dockerfile, values: dict[str, str], text: str) -> None:
    check_dockerfile(dockerfile, INPUTS)
    for stage in dockerfile.stages:
        outline(dockerfile, INPUTS, stage)
        for instruction in stage.instructions:
            if isinstance(instruction, Run):
                run_command(instruction)
            try:
                expanded = expand_instruction(instruction, values.get, dockerfile.escape)
                if isinstance(expanded, Run):
                    for mount in expanded.mounts:
                        mount_of(mount)
            except DockerfileError as error:
                check_errors([error], text)


class Coverage:
    """Jumps between lines of the package that have been seen."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int, int]] = set()
        self._new = 0
        self._last: dict[FrameType, int] = {}

    def measure(self, run: Callable[[bytes], None], raw: bytes) -> bool:
        """Runs it; says whether it went where none went before."""
        self._new = 0
        sys.settrace(self._enter)
        try:
            run(raw)
        finally:
            sys.settrace(None)
            self._last.clear()
        return self._new > 0

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        if "/pyoci/dockerfile/" not in frame.f_code.co_filename:
            return None
        self._last[frame] = 0
        return self._step

    def _step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            edge = (frame.f_code, self._last.get(frame, 0), frame.f_lineno)
            self._last[frame] = frame.f_lineno
            if edge not in self.seen:
                self.seen.add(edge)
                self._new += 1
        elif event == "return":
            self._last.pop(frame, None)
        return self._step


def changed(raw: bytes, corpus: list[bytes], chance: random.Random) -> bytes:
    """The text with a few changes."""
    result = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        position = chance.randrange(len(result) + 1)
        end = min(len(result), position + chance.choice((1, 2, 8, 40)))
        match chance.randrange(7):
            case 0:
                result[position:position] = chance.choice(TOKENS)
            case 1:
                result[position:end] = chance.choice(TOKENS)
            case 2:
                del result[position:end]
            case 3:
                result[position:position] = bytes([chance.randrange(256)])
            case 4:
                other = chance.choice(corpus)
                start = chance.randrange(len(other) + 1)
                result[position:end] = other[start : start + chance.choice((4, 20, 100))]
            case 5:
                result[position:position] = result[position:end] * chance.choice((1, 2, 20))
            case _:
                lines = bytes(result).split(b"\n")
                chance.shuffle(lines)
                result = bytearray(b"\n".join(lines))
    return bytes(result[:LARGEST])


def starting_texts() -> list[bytes]:
    files = sorted((ROOT / "fixtures").glob("dockerfiles*/*/Dockerfile"))
    texts = [path.read_bytes()[:LARGEST] for path in files]
    for table in sorted((ROOT / "fixtures" / "words").glob("*.txt")):
        rows = [line.partition(" →")[0] for line in table.read_text().splitlines() if " →" in line]
        texts += [f"FROM x\nENV a={row}\nCOPY <<E /x\n{row}\nE\n".encode() for row in rows]
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crash", type=Path, default=Path("crash.Dockerfile"))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    coverage = Coverage()
    corpus = starting_texts()
    begin = time.monotonic()
    for run in range(arguments.runs):
        raw = corpus[run] if run < len(corpus) else changed(chance.choice(corpus), corpus, chance)
        started = time.process_time()
        try:
            if coverage.measure(check, raw) and run >= len(corpus):
                corpus.append(raw)
            if time.process_time() - started > SLOWEST_SECONDS:
                raise Broken(f"took {time.process_time() - started:.1f} s of processor time")
        except Exception as error:
            arguments.crash.write_bytes(raw)
            print(f"run {run}: {type(error).__name__}: {error}\nthe text is in {arguments.crash}", file=sys.stderr)
            return 1
        if run % 10_000 == 0:
            print(f"{run} runs, {len(corpus)} texts, {len(coverage.seen)} jumps, {time.monotonic() - begin:.0f} s")
    print(f"{arguments.runs} runs, {len(corpus)} texts, {len(coverage.seen)} jumps, nothing but located errors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
