"""Scripts: the first line, as Linux reads it, and the interpreter that it names.

Spec: execve(2), "Interpreter scripts"; fs/binfmt_script.c for blanks and lengths; env(1) for `#!/usr/bin/env`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.preflight.access import Reached, may_read
from pyoci.preflight.file_facts import HEAD_SIZE
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.lookup import find_in_path
from pyoci.preflight.subject import Subject, Target, owner_and_mode
from pyoci.values import dataclass

__all__ = ["FirstLine", "ScriptInterpreter", "read_first_line", "script_findings"]

_BLANKS = " \t"
_SUGGESTIONS = {
    "bash": "install bash, or begin the script with #!/bin/sh if that will do",
    "sh": "use a base that has a shell, or make the entrypoint a program",
    "python": "name python3, or install python",
}


@dataclass(frozen=True, slots=True)
class FirstLine:
    """What Linux makes of the beginning of a file."""

    interpreter: str = ""
    argument: str = ""
    """Everything behind the interpreter: Linux gives it as one argument."""
    carriage_return: bool = False
    too_long: bool = False
    advice: str = ""
    """What to do about a text that is no script."""


@dataclass(frozen=True, slots=True)
class ScriptInterpreter:
    """A file that is to be executed in place of a script."""

    target: Target
    reached: Reached


def read_first_line(head: bytes) -> FirstLine:
    """The first line of a script or text from its first 256 bytes."""
    if not head.startswith(b"#!"):
        return FirstLine(advice=_advice(head))
    line, newline, _ = head.partition(b"\n")
    text = line[2:].decode("utf-8", "surrogateescape")
    bare = text.strip(_BLANKS)
    carriage_return = bare.endswith("\r")
    end = min((at for at in (bare.find(blank) for blank in _BLANKS) if at >= 0), default=len(bare))
    interpreter, argument = bare[:end], bare[end:].strip(_BLANKS)
    # Without a line end in sight the interpreter may have been cut off, and Linux does not guess.
    too_long = not newline and len(head) >= HEAD_SIZE and end == len(bare)
    return FirstLine(interpreter, argument, carriage_return, too_long)


def _advice(head: bytes) -> str:
    if head.startswith(b"\xef\xbb\xbf"):
        return "take the byte order mark off: save it as UTF-8 without BOM"
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "it is a Git LFS pointer: run git lfs pull before the build"
    if head.lstrip().startswith(b"#!"):
        return "nothing may stand before the #!, not even a blank line"
    return "begin it with #!/bin/sh, or name its interpreter in the entrypoint"


def script_findings(
    subject: Subject, target: Target, reached: Reached, head: bytes
) -> Iterator[Finding | ScriptInterpreter]:
    """What is wrong with a script's first line, or which file is executed in its place."""
    line, path = read_first_line(head), reached.path
    if line.carriage_return:
        shown = line.argument or line.interpreter
        yield finding(
            "ScriptCarriageReturn",
            f'{target.what}: its first line ends in CR LF, so that "{shown.rstrip()}\\r" is what is looked for',
            'save it with LF line ends (in .gitattributes: "*.sh text eol=lf"), or RUN sed -i "s/\\r$//" on it',
            path=path,
            causes=target.causes,
        )
        return
    if not line.interpreter or line.too_long:
        what = "is longer than Linux reads" if line.too_long else "names no interpreter"
        yield finding(
            "NotAProgram",
            f"{target.what}: its first line {what}: exec format error",
            "begin it with #!/bin/sh, for example",
            path=path,
            causes=target.causes,
        )
        return
    entry = reached.entry
    if entry is not None and not may_read(entry, subject.account):
        yield finding(
            "ProgramNotExecutable",
            f"{target.what} is a script that {subject.account} may execute but not read: {owner_and_mode(entry)}",
            "let its interpreter read it: COPY --chmod=755",
            path=path,
            causes=target.causes,
        )
        return
    yield from _interpreter(subject, target, path, line)


def _interpreter(subject: Subject, target: Target, path: str, line: FirstLine) -> Iterator[Finding | ScriptInterpreter]:
    inner = target.interpreter(line.interpreter)
    found = subject.reach(line.interpreter)
    if found.obstacle in ("missing", "not a directory", "loop"):
        yield _missing(subject, target, path, line.interpreter, found.path)
        return
    yield ScriptInterpreter(inner, found)
    if line.interpreter.rpartition("/")[2] != "env":
        return
    name, is_split = _env_command(line.argument)
    if not name:
        return
    located = find_in_path(subject, name)
    if located.reached is not None:
        yield ScriptInterpreter(target.interpreter(name), located.reached)
    elif " " in name and not is_split:
        yield finding(
            "ScriptInterpreterMissing",
            f'{target.what}: env looks for one program called "{name}"',
            f"write #!{line.interpreter} -S {name}",
            path=path,
            causes=target.causes,
        )
    else:
        yield _missing(subject, target, path, name, f"{name} in PATH ({subject.search_path})")


def _missing(subject: Subject, target: Target, path: str, name: str, where: str) -> Finding:
    word = name.rpartition("/")[2]
    others = subject.elsewhere(name)
    hint = f"it is at {others[0]}" if others else _SUGGESTIONS.get(word, f"install {word}, or use a base that has it")
    return finding(
        "ScriptInterpreterMissing",
        f'{target.what} wants the interpreter "{name}", and there is no {where} in the image',
        hint,
        path=path,
        causes=target.causes,
    )


def _env_command(argument: str) -> tuple[str, bool]:
    """What `env` is to run, and whether it splits its argument into words; an empty name where that is not plain."""
    if not argument.startswith("-"):
        return ("", False) if "=" in argument else (argument, False)
    option, _, rest = argument.partition(" ")
    if option.startswith("-S"):
        rest = f"{option[2:]} {rest}"
    elif option.startswith("--split-string"):
        rest = f"{option.removeprefix('--split-string').removeprefix('=')} {rest}"
    else:
        return "", False
    words = rest.split()
    while words and "=" in words[0] and not words[0].startswith("-"):
        words.pop(0)
    plain = bool(words) and not words[0].startswith("-") and not set(words[0]) & set("\"'\\$")
    return (words[0], True) if plain else ("", True)
