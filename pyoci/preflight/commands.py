"""What the config says is to be executed: entrypoint, command and health check, through init programs and shells."""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.image.config import ContainerConfig
from pyoci.preflight.access import Reached
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.lookup import Located, locate
from pyoci.preflight.programs import not_there, program_findings
from pyoci.preflight.shell import first_command, shell_script
from pyoci.preflight.subject import Subject, Target, owner_and_mode
from pyoci.values import dataclass

__all__ = ["Command", "command_findings", "healthcheck_findings", "main_command"]

_INITS = frozenset({"tini", "tini-static", "dumb-init", "catatonit", "docker-init"})
_DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of the config."""

    name: str
    """What messages call it: `entrypoint`, `command`, `health check`."""
    args: tuple[str, ...]
    causes: tuple[str, ...]

    def target(self, word: str) -> Target:
        """The program that a word of it names."""
        return Target(f'{self.name} "{word}"', self.causes)


def main_command(config: ContainerConfig) -> Command | None:
    """What a container of the image executes; None if it does not say."""
    if config.entrypoint:
        args = (*config.entrypoint, *(config.cmd or ()))
        return Command("entrypoint", args, ("entrypoint", "from"))
    return Command("command", config.cmd, ("cmd", "from")) if config.cmd else None


def command_findings(subject: Subject, command: Command) -> Iterator[Finding]:
    """What keeps a command line from running: its program, what an init program starts, what a shell runs first.

    Raises:
        LayerError, ContentError: a file's bytes cannot be had.
    """
    word = command.args[0]
    script = shell_script(command.args)
    located = locate(subject, word)
    target = command.target(word)
    if located.reached is None:
        yield _not_in_path(subject, command, target, word, located, script)
        return
    reached = located.reached
    if script is not None and reached.obstacle == "missing" and not subject.is_mounted(reached.path):
        yield _shell_missing(command, word, script)
        return
    blocked = False
    for found in program_findings(subject, target, reached):
        found = _with_argument_hint(subject, command, found)
        blocked = blocked or found.severity == "error"
        yield found
    if blocked:
        return
    if script is not None:
        yield from _script_findings(subject, command, reached, script)
    elif word.rpartition("/")[2] in _INITS:
        rest = _after_init(command.args)
        if rest:
            yield from command_findings(subject, Command(command.name, rest, command.causes))


def _not_in_path(
    subject: Subject, command: Command, target: Target, word: str, located: Located, script: str | None
) -> Finding:
    if script is not None and located.refused is None:
        return _shell_missing(command, word, script)
    refused = located.refused
    if refused is not None and refused.entry is not None:
        if refused.obstacle is not None:
            return not_there(subject, target, refused)
        return finding(
            "ProgramNotExecutable",
            f"{target.what} is at {refused.path}, which may not be executed by {subject.account}: "
            f"{owner_and_mode(refused.entry)}",
            "COPY --chmod=755 it, or chmod +x it in the stage that makes it",
            path=refused.path,
            causes=(subject.layer_cause(refused.entry), *target.causes),
        )
    here = subject.reach(f"./{word}")
    others = subject.elsewhere(word)
    if word and here.obstacle is None and here.entry is not None and here.entry.type == "file":
        hint = f'PATH is searched, not the working directory: write "./{word}" or "{here.path}"'
    elif others:
        hint = f"it is at {others[0]}: write that, or add its directory to PATH with ENV"
    else:
        hint = "COPY or install it, or correct the name"
    message = f"{target.what}: executable file not found in PATH ({subject.search_path})"
    return _with_argument_hint(subject, command, finding("ProgramNotFound", message, hint, causes=target.causes))


def _shell_missing(command: Command, word: str, script: str) -> Finding:
    line = script.strip().partition("\n")[0]
    shown = line if len(line) <= 60 else line[:57] + "…"
    is_plain = first_command(script) is not None and not set(line) & set("$\"'\\*?<>&|;")
    form = ", ".join(f'"{part}"' for part in line.split()) if is_plain else '"…"'
    return finding(
        "ShellMissing",
        f'the {command.name} "{shown}" is in shell form, and there is no {word} in the image',
        f"write it in exec form, [{form}], or use a base that has a shell",
        path=word,
        causes=command.causes,
    )


def _with_argument_hint(subject: Subject, command: Command, found: Finding) -> Finding:
    """A whole command line in one string is the usual reason for a name with blanks that is not there."""
    words = command.args[0].split()
    if found.rule != "ProgramNotFound" or len(words) < 2:
        return found
    first = words[0]
    if locate(subject, first).reached is None and subject.reach(first).obstacle is not None:
        return found
    form = ", ".join(f'"{part}"' for part in words)
    hint = f"write each word by itself: [{form}]"
    return finding(found.rule, found.message, hint, path=found.path, causes=found.causes)


def _script_findings(subject: Subject, command: Command, shell: Reached, script: str) -> Iterator[Finding]:
    """What the shell runs first. busybox runs its own programs without looking for them."""
    line = script.strip()
    if line.startswith("['") and line.endswith("']"):
        yield finding(
            "ShellCommandNotFound",
            f"the {command.name} {line} is no JSON, so the shell looks for a program of that name",
            "JSON has double quotes: " + line.replace("'", '"'),
            causes=command.causes,
        )
        return
    word = first_command(script)
    if word is None:
        return
    target = Target(f'{command.name} (shell form) "{word}"', command.causes)
    located = locate(subject, word)
    if located.reached is not None:
        yield from program_findings(subject, target, located.reached, by_shell=True)
    elif shell.path.rpartition("/")[2] != "busybox":
        others = subject.elsewhere(word)
        yield finding(
            "ShellCommandNotFound",
            f"{target.what}: not found in PATH ({subject.search_path})",
            f"it is at {others[0]}" if others else "COPY or install it, or correct the name",
            causes=command.causes,
        )


def _after_init(args: tuple[str, ...]) -> tuple[str, ...]:
    """The command that an init program starts; empty where its options are not plain."""
    rest = args[1:]
    if "--" in rest:
        return rest[rest.index("--") + 1 :]
    return rest if rest and not rest[0].startswith("-") else ()


def healthcheck_findings(subject: Subject) -> Iterator[Finding]:
    """What keeps the health check from running; Docker would call the container unhealthy.

    Raises:
        LayerError, ContentError: a file's bytes cannot be had.
    """
    check = subject.config.healthcheck
    if check is None or len(check.test) < 2:
        return
    kind, *words = check.test
    if kind == "CMD":
        args = tuple(words)
    elif kind == "CMD-SHELL":
        args = (*(subject.config.shell or _DEFAULT_SHELL), words[0])
    else:
        return
    for found in command_findings(subject, Command("health check", args, ("healthcheck", "from"))):
        if found.severity == "error":
            message = f"{found.message}: the container would be unhealthy"
            yield finding("HealthcheckCannotRun", message, found.hint, path=found.path, causes=found.causes)
