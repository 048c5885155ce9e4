"""A program that is to be executed: whether execve(2) would start it, and what it would start.

The order is the kernel's: the way to the file, its permissions, its format; then a script's interpreter, or an ELF
file's processor, loader and libraries.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.layer.entry import Entry
from pyoci.preflight.access import Reached, may_execute
from pyoci.preflight.elf_programs import elf_findings
from pyoci.preflight.file_facts import FileFacts
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.scripts import ScriptInterpreter, read_first_line, script_findings
from pyoci.preflight.subject import Subject, Target, owner_and_mode
from pyoci.values import replace

__all__ = ["not_there", "program_findings"]

_INTERPRETER_DEPTH = 5
"""How many interpreters of interpreters Linux follows."""
_KINDS = {
    "pe": ("a program for Windows", "build it for the image's platform: GOOS=linux GOARCH={arch} for Go"),
    "mach-o": ("a program for macOS", "build it for the image's platform: GOOS=linux GOARCH={arch} for Go"),
    "wasm": ("a WebAssembly module", "run it with a WebAssembly runtime"),
    "archive": ("an archive of object files", "give go build a main package, or link it"),
    "data": ("neither a program nor a script", "was the right file copied?"),
    "empty": ("an empty file", "was it copied before it was written?"),
}


def program_findings(
    subject: Subject, target: Target, reached: Reached, *, by_shell: bool = False, depth: int = 0
) -> Iterator[Finding]:
    """What keeps a path from being executed. A shell (`by_shell`) executes texts without a first line by itself.

    Raises:
        LayerError, ContentError: a file's bytes cannot be had.
    """
    if reached.obstacle == "elsewhere" or subject.is_mounted(reached.path):
        return
    if reached.obstacle is not None or reached.entry is None:
        yield not_there(subject, target, reached)
        return
    entry, path = reached.entry, reached.path
    if entry.type == "dir":
        inside = next(
            (child for child in subject.tree.children(path) if child.type == "file" and child.mode & 0o111), None
        )
        hint = f'name the program in it: "/{inside.path}"' if inside else "name the program itself"
        yield finding(
            "NotAProgram", f"{target.what} is a directory{reached.via}", hint, path=path, causes=target.causes
        )
        return
    if entry.type != "file":
        yield finding(
            "NotAProgram", f"{target.what} is a {entry.type} and no file{reached.via}", path=path, causes=target.causes
        )
        return
    causes = (subject.layer_cause(entry), *target.causes)
    if not may_execute(entry, subject.account):
        yield _not_executable(subject, target, entry, path, causes)
        return
    facts = subject.files.facts(entry)
    yield from _format_findings(subject, replace(target, causes=causes), reached, facts, by_shell=by_shell, depth=depth)


def not_there(subject: Subject, target: Target, reached: Reached) -> Finding:
    """The finding for a path that leads nowhere."""
    path = reached.path
    match reached.obstacle:
        case "not searchable" if reached.entry is not None:
            return finding(
                "ProgramUnreachable",
                f"{target.what}: {subject.account} may not enter {path}: {owner_and_mode(reached.entry)}",
                f"let others search it: chmod o+x {path}, or --chown and --chmod on the COPY that makes it",
                path=path,
                causes=(subject.layer_cause(reached.entry), *target.causes),
            )
        case "loop":
            message = f"{target.what}: the symbolic links lead in a circle{reached.via}"
        case "not a directory":
            message = f"{target.what}: {path} is a file and no directory{reached.via}"
        case _:
            message = f"{target.what}: there is no {path} in the image{reached.via}"
    others = subject.elsewhere(path)
    hint = f"did you mean {others[0]}?" if others else "COPY it there, or correct the path"
    return finding("ProgramNotFound", message, hint, path=path, causes=target.causes)


def _not_executable(subject: Subject, target: Target, entry: Entry, path: str, causes: tuple[str, ...]) -> Finding:
    if not entry.mode & 0o111:
        hint = "COPY --chmod=755 it, or chmod +x it in the stage that makes it"
    else:
        hint = f"COPY --chmod=755 it, or --chown={subject.account.uid}:{subject.account.gid}"
    return finding(
        "ProgramNotExecutable",
        f"{target.what} may not be executed by {subject.account}: {owner_and_mode(entry)}",
        hint,
        path=path,
        causes=causes,
    )


def _format_findings(
    subject: Subject, target: Target, reached: Reached, facts: FileFacts, *, by_shell: bool, depth: int
) -> Iterator[Finding]:
    path = reached.path
    match facts.kind:
        case "elf":
            yield from elf_findings(subject, target, reached, facts)
        case "script":
            if depth >= _INTERPRETER_DEPTH:
                yield finding(
                    "ScriptRecursion",
                    f"{target.what}: more than {_INTERPRETER_DEPTH} scripts are each other's interpreters",
                    "name a program in the first line of the script",
                    path=path,
                    causes=target.causes,
                )
                return
            for found in script_findings(subject, target, reached, facts.head):
                if isinstance(found, ScriptInterpreter):
                    yield from program_findings(subject, found.target, found.reached, depth=depth + 1)
                else:
                    yield found
        case "text" if by_shell:
            return
        case "empty" if by_shell:
            return
        case "text":
            yield finding(
                "NotAProgram",
                f'{target.what} is a text whose first line does not begin with "#!": exec format error',
                read_first_line(facts.head).advice,
                path=path,
                causes=target.causes,
            )
        case kind:
            if facts.problem:
                yield finding(
                    "NotExamined",
                    f"{target.what} could not be looked at: {facts.problem}",
                    path=path,
                    causes=target.causes,
                )
                return
            what, hint = _KINDS[kind]
            hint = hint.replace("{arch}", subject.platform.architecture)
            message = f"{target.what} is {what}: exec format error"
            yield finding("NotAProgram", message, hint, path=path, causes=target.causes)
