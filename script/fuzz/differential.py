"""Asks BuildKit the same as us, on random input, and shows where the answers differ.

    .venv/bin/python script/fuzz/differential.py dockerfiles --runs 20000 --seed 1
    .venv/bin/python script/fuzz/differential.py fixtures

Kinds: dockerfiles, words, patterns, modes, checks, and fixtures (the tables and Dockerfiles of fixtures/). Needs a Go
toolchain and a Go module proxy: `buildkit/main.go` is built once, into --judge.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from random_dockerfiles import checked_text, dockerfile_text, globs, path, word  # noqa: E402 -- beside this file

from pyoci.dockerfile import instructions as ins  # noqa: E402
from pyoci.dockerfile.chmod import parse_mode  # noqa: E402
from pyoci.dockerfile.findings import BaseImage, CheckInputs  # noqa: E402
from pyoci.dockerfile.lexer import ExpansionError, expand_word  # noqa: E402
from pyoci.dockerfile.lint import check_dockerfile  # noqa: E402
from pyoci.dockerfile.mounts import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount, mount_of  # noqa: E402
from pyoci.dockerfile.parser import decode_source, parse_dockerfile  # noqa: E402
from pyoci.dockerfile.patterns import PatternSet  # noqa: E402
from pyoci.dockerfile.words import Word  # noqa: E402
from pyoci.errors import DockerfileError  # noqa: E402
from pyoci.platforms import Platform  # noqa: E402

BUILDKIT = "v0.32.2"
OURS_ALONE = re.compile(
    r"is no signal|cannot expose|frontend|check option|has no FROM|mount|no mode|octal|is no user|nothing to run"
    r"|for (ARG|STOPSIGNAL|HEALTHCHECK)$|no heredoc|not use the heredoc|--checksum is for|a comment cannot|is not for"
    r"|is no size|is given twice|--device needs|no option of|needs a value|true or false|Dockerfile is empty"
)
"""Errors that BuildKit does not give, or gives when it builds; fixtures/README.md has the list."""
VALUES = {"x": "abab.go", "y": "", "E": "a b  c", "p": "/usr/lib/x.tar.gz", "q": "aXbXc$0 ${y}\\"}
AMD64 = Platform("linux", "amd64")


class Judge:
    """BuildKit, asked over a pipe."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind: str, text: bytes = b"", **more: object) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        question = {"kind": kind, "text": base64.b64encode(text).decode(), **more}
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def build_judge(program: Path) -> None:
    """Compiles the judge against the BuildKit that we are compared with."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).parent / "buildkit" / "main.go", folder)
        for command in (
            ["go", "mod", "init", "judge"],
            ["go", "get", f"github.com/moby/buildkit@{BUILDKIT}"],
            ["go", "mod", "tidy"],
            ["go", "build", "-o", str(program.absolute()), "."],
        ):
            subprocess.run(command, cwd=folder, check=True)


def described(written: ins.Instruction) -> dict[str, Any]:
    place = written.location
    out: dict[str, Any] = {
        "keyword": written.keyword,
        "lines": [place.line, place.last_line],
        "comments": list(written.comments),
        "line": written.line,
    }
    match written:
        case ins.Env() | ins.Label():
            out["pairs"] = [[p.name.text, p.value.text, p.legacy] for p in written.pairs]
        case ins.Copy() | ins.Add():
            out["sources"] = [w.text for w in written.sources]
            out["destination"] = written.destination.text
            out["heredocs"] = [[h.name, h.text, h.expand] for h in written.heredocs]
            flags: list[Any] = [
                text(written.chown),
                text(written.chmod),
                written.link,
                [w.text for w in written.exclude],
            ]
            if isinstance(written, ins.Copy):
                flags += [text(written.from_), written.parents]
            else:
                flags += [written.keep_git_dir, text(written.checksum), written.unpack]
            out["flags"] = flags
        case ins.Run():
            out["heredocs"] = [[h.name, h.content, h.strip_tabs] for h in written.heredocs]
            out["flags"] = [written.network, written.security]
            try:
                out["mounts"] = [mount_fields(mount_of(mount)) for mount in written.mounts]
            except DockerfileError:
                out["mounts"] = "error"
        case ins.Expose():
            out["value"] = [w.text for w in written.ports]
        case ins.Volume():
            out["value"] = [w.text for w in written.paths]
        case ins.Healthcheck() as h:
            out["value"] = [list(h.test), h.interval, h.timeout, h.start_period, h.start_interval, h.retries]
        case ins.Arg():
            out["value"] = [
                [d.name.text, d.default.text if d.default else None, d.description] for d in written.definitions
            ]
        case ins.Workdir():
            out["value"] = written.path.text
        case ins.User():
            out["value"] = written.user.text
        case ins.Stopsignal():
            out["value"] = written.signal.text
        case ins.Shell():
            out["value"] = list(written.arguments)
        case ins.Maintainer():
            out["value"] = written.name
        case ins.Onbuild():
            out["value"] = written.expression
    if isinstance(written, ins.Run | ins.Cmd | ins.Entrypoint):
        out |= {"form": written.form, "arguments": list(written.arguments)}
    return out


def text(word: Word | None) -> str:
    return word.text if word else ""


def mount_fields(mount: Mount) -> list[Any]:
    match mount:
        case BindMount():
            return ["bind", mount.target, mount.source, mount.from_ or "", mount.read_only]
        case CacheMount():
            numbers = [mount.mode, mount.uid, mount.gid]
            return ["cache", mount.target, mount.source, mount.from_ or "", mount.read_only, mount.sharing, *numbers]
        case TmpfsMount():
            return ["tmpfs", mount.target, mount.size_bytes, mount.read_only]
        case SecretMount():
            return ["secret", mount.env, mount.required, mount.mode, mount.uid, mount.gid]
        case SshMount():
            return ["ssh", mount.required, mount.mode, mount.uid, mount.gid]


def their_mount(mount: dict[str, Any]) -> list[Any]:
    numbers = [mount["Mode"], mount["UID"], mount["GID"]]
    files = [mount["Target"], mount["Source"], mount["From"], mount["ReadOnly"]]
    match mount["Type"]:
        case "bind":
            return ["bind", *files]
        case "cache":
            return ["cache", *files, mount["CacheSharing"] or "shared", *numbers]
        case "tmpfs":
            return ["tmpfs", mount["Target"], mount["SizeLimit"], mount["ReadOnly"]]
        case kind:
            default = 0o400 if kind == "secret" else 0o600
            owner = [default if numbers[0] is None else numbers[0], numbers[1] or 0, numbers[2] or 0]
            return [kind, *([mount["Env"]] if kind == "secret" else []), mount["Required"], *owner]


def bare(value: Any) -> Any:
    """Without what is empty: BuildKit says null, we say nothing."""
    if isinstance(value, dict):
        kept = {key: bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], "")}
    return [bare(item) if item != [] else None for item in value] if isinstance(value, list) else value


def ours(raw: bytes) -> dict[str, Any]:
    try:
        found = parse_dockerfile(decode_source("Dockerfile", raw))
    except DockerfileError as error:
        return {"errors": [each.message for each in (error, *error.others)]}
    stages = [
        {
            "keyword": s.keyword,
            "name": s.name,
            "base": s.base,
            "platform": s.platform,
            "description": s.description,
            "lines": [s.location.line, s.location.last_line],
            "comments": list(s.comments),
            "line": s.line,
            "instructions": [described(instruction) for instruction in s.instructions],
        }
        for s in found.stages
    ]
    return {
        "stages": stages,
        "meta_args": [described(arg) for arg in found.meta_args],
        "escape": found.escape,
        "empty": [place.last_line for place in found.empty_continuations],
    }


def compare_dockerfile(raw: bytes, judge: Judge) -> str | None:
    theirs, mine = judge.ask("dockerfile", raw), ours(raw)
    if "panic" in theirs or ("error" in theirs and "errors" in mine):
        return None
    if "errors" in mine:
        known = all(OURS_ALONE.search(message) for message in mine["errors"]) or b"ONBUILD" in raw.upper()
        return None if known else f"we refuse: {mine['errors']}"
    if "error" in theirs:
        return f"BuildKit refuses: {theirs['error']}"
    for stage in theirs["stages"]:
        for instruction in stage["instructions"] or ():
            if isinstance(instruction.get("mounts"), list):
                instruction["mounts"] = list(map(their_mount, instruction["mounts"]))
    if bare(mine) != bare(theirs):
        return f"ours {json.dumps(bare(mine))}\nBuildKit {json.dumps(bare(theirs))}"
    return None


def compare_word(written: str, judge: Judge) -> str | None:
    theirs = judge.ask("word", written.encode(), escape="\\", values=VALUES)
    try:
        mine = {"text": expand_word(written, VALUES.get).text}
    except ExpansionError as error:
        mine = {"error": error.message}
    if "error" in theirs and "error" in mine:
        return None
    same = theirs.get("text") == mine.get("text") and "error" not in theirs and "error" not in mine
    return None if same else f"ours {mine}, BuildKit {theirs}"


def compare_patterns(patterns: list[str], paths: list[str], judge: Judge) -> str | None:
    theirs = judge.ask("ignored", patterns=patterns, paths=paths)
    try:
        mine = list(map(PatternSet(patterns).excluded, paths))
    except DockerfileError:
        return None
    same = "error" in theirs or theirs["excluded"] == mine
    return None if same else f"paths {paths}\nours {mine}\nmoby {theirs['excluded']}"


def compare_mode(written: str, mode: int, *, is_dir: bool, judge: Judge) -> str | None:
    theirs = judge.ask("chmod", written.encode(), mode=mode, is_dir=is_dir)
    try:
        mine: dict[str, Any] = {"mode": parse_mode(written)(mode, is_dir)}
    except DockerfileError:
        mine = {}
    return None if mine.get("mode") == theirs.get("mode") else f"{mode:04o} {is_dir}: ours {mine}, BuildKit {theirs}"


def base_image(name: str, platform: Platform) -> BaseImage:
    shell = ("/bin/bash", "-c") if "shell" in name else ()
    architecture = "arm64" if "arm" in name else "amd64"
    return BaseImage(env={"PATH": "/bin", "BASEVAR": "1"}, shell=shell, platform=Platform("linux", architecture))


def compare_checks(written: str, build_args: dict[str, str], judge: Judge) -> str | None:
    theirs = judge.ask("checks", written.encode(), values=build_args)
    if "findings" not in theirs:
        return None
    builtins = {f"{side}{name}": "" for side in ("BUILD", "TARGET") for name in ("OSVERSION", "VARIANT")}
    for side in ("BUILD", "TARGET"):
        builtins |= {f"{side}PLATFORM": "linux/amd64", f"{side}OS": "linux", f"{side}ARCH": "amd64"}
    dockerfile = parse_dockerfile(decode_source("Dockerfile", written.encode()))
    builtins["TARGETSTAGE"] = dockerfile.stages[-1].name or "default"
    inputs = CheckInputs(builtins=builtins, target_platform=AMD64, build_args=build_args, base_image=base_image)
    mine = sorted([f.rule.name, f.message, list(f.lines)] for f in check_dockerfile(dockerfile, inputs))
    found = sorted(theirs["findings"] or [])
    return None if mine == found else f"ours {mine}\nBuildKit {found}"


def fixtures(judge: Judge) -> Iterator[tuple[str, str | None]]:
    for file in sorted((ROOT / "fixtures" / "dockerfiles").glob("*/Dockerfile")):
        yield file.parent.name, compare_dockerfile(file.read_bytes(), judge)


def random_cases(kind: str, chance: random.Random, runs: int, judge: Judge) -> Iterator[tuple[str, str | None]]:
    def one() -> tuple[str, str | None]:
        match kind:
            case "dockerfiles":
                raw = dockerfile_text(chance).encode()
                return raw.decode(), compare_dockerfile(raw, judge)
            case "words":
                written = word(chance)
                return written, compare_word(written, judge)
            case "patterns":
                patterns, paths = globs(chance), sorted({path(chance) for _ in range(12)})
                return " ".join(patterns), compare_patterns(patterns, paths, judge)
            case "modes":
                written = "".join(chance.choices("ugoa+-=rwxXst,u+r=7", k=chance.choice((1, 2, 3, 5, 8))))
                mode, is_dir = chance.choice((0o644, 0o755, 0o4755, 0o1777, 0)), chance.random() < 0.3
                return written, compare_mode(written, mode, is_dir=is_dir, judge=judge)
            case _:
                written = checked_text(chance)
                build_args = chance.choice(({}, {}, {"TAG": "9"}, {"v": "2", "IMG": "busybox"}))
                return written, compare_checks(written, build_args, judge)

    for _ in range(runs):
        yield one()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("dockerfiles", "words", "patterns", "modes", "checks", "fixtures"))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=5, help="how many differences to show")
    parser.add_argument("--judge", type=Path, default=Path(tempfile.gettempdir()) / f"pyoci-judge-{BUILDKIT}")
    arguments = parser.parse_args()
    if not arguments.judge.exists():
        build_judge(arguments.judge)
    judge = Judge(arguments.judge)
    chance = random.Random(arguments.seed)
    cases: Callable[[], Iterator[tuple[str, str | None]]] = (
        (lambda: fixtures(judge))
        if arguments.kind == "fixtures"
        else (lambda: random_cases(arguments.kind, chance, arguments.runs, judge))
    )
    count = differences = 0
    for asked, difference in cases():
        count += 1
        if difference:
            differences += 1
            if differences <= arguments.show:
                print(f"--- {asked}\n{difference}")
    print(f"{count} asked, {differences} differ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
