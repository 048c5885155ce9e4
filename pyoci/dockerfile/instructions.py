"""The instructions of a Dockerfile as frozen values, unexpanded: what was written, not yet what it means.

Two instructions are equal when they say the same thing; where and how they were typed takes no part in it. A `Word`
still holds its variables and quotes; `expand.py` resolves them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pyoci.dockerfile.checks import NO_CHECK_OPTIONS, CheckOptions
from pyoci.dockerfile.heredoc import Heredoc, parse_marker
from pyoci.dockerfile.mount_options import MountOptions
from pyoci.dockerfile.words import Word
from pyoci.location import Location, SourceFile
from pyoci.values import dataclass, field

__all__ = [
    "Add",
    "Arg",
    "ArgDefinition",
    "Cmd",
    "Copy",
    "Device",
    "Dockerfile",
    "Entrypoint",
    "Env",
    "Expose",
    "Form",
    "Healthcheck",
    "Heredoc",
    "Instruction",
    "Label",
    "Maintainer",
    "Network",
    "Onbuild",
    "Pair",
    "Run",
    "RunCommand",
    "ScriptFile",
    "Security",
    "Shell",
    "Stage",
    "Stopsignal",
    "TriggerInstruction",
    "User",
    "Volume",
    "Workdir",
    "Written",
    "run_command",
]

Form = Literal["shell", "exec"]
Network = Literal["default", "none", "host"]
Security = Literal["sandbox", "insecure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How an instruction stands in its file. No part of what it means."""

    location: Location = field(compare=False, repr=False)
    """From the keyword to the end of its first line; `last_line` includes continuations and heredocs."""
    source_text: str = field(compare=False, repr=False)
    """Every line as typed, with continuations, comments between them and heredocs; no line end after the last."""
    line: str = field(compare=False, repr=False)
    """The instruction on one line, continuations joined, as titles and histories show it."""
    keyword: str = field(compare=False, repr=False)
    """As typed: `run`, `Run`, `RUN`."""
    comments: tuple[str, ...] = field(compare=False, repr=False, default=())
    """Comment lines right above, without `#`."""
    check: CheckOptions = field(compare=False, repr=False, default=NO_CHECK_OPTIONS)
    """From a `# check=` comment right above."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`NAME=value` of ENV and LABEL. Both sides are expanded."""

    name: Word
    value: Word
    legacy: bool = False
    """Written `NAME value`, the form with one pair and no `=`."""


@dataclass(frozen=True, slots=True)
class ArgDefinition:
    """`NAME` or `NAME=default` of ARG. Only the default is expanded."""

    name: Word
    default: Word | None = None
    description: str = field(default="", compare=False)
    """From a comment `# NAME text` right above."""


@dataclass(frozen=True, slots=True)
class Device:
    """`RUN --device`: a CDI device name."""

    name: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Written):
    """`ADD`: copies files, URLs and git repositories, and unpacks local archives."""

    sources: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...] = ()
    """Sources whose bytes are in the Dockerfile; they are copied after `sources`."""
    destination: Word
    chown: Word | None = None
    chmod: Word | None = None
    link: bool = False
    exclude: tuple[Word, ...] = ()
    """Patterns; variables in them are not expanded."""
    checksum: Word | None = None
    keep_git_dir: bool | None = None
    """None where the flag is missing."""
    unpack: bool | None = None
    """None where the flag is missing: local archives are unpacked, downloaded ones are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Written):
    """`COPY`: copies files of the context, a stage, an image or a named context."""

    sources: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...] = ()
    """Sources whose bytes are in the Dockerfile; they are copied after `sources`."""
    destination: Word
    from_: Word | None = None
    """Unexpanded, and left so: who plans decides which variables may stand here."""
    chown: Word | None = None
    chmod: Word | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[Word, ...] = ()
    """Patterns; variables in them are not expanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Written):
    """`ENV`: sets variables of the image."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Written):
    """`LABEL`: sets metadata of the image."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Written):
    """`ARG`: declares build arguments, for all FROMs before the first one, for its stage after that."""

    definitions: tuple[ArgDefinition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Written):
    """`RUN`: executes a command and keeps what it changes. The command itself is never expanded."""

    form: Form
    arguments: tuple[str, ...]
    """The words of the exec form; in shell form one string, the command line (empty for a bare `RUN`)."""
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[MountOptions, ...] = ()
    network: Network = "default"
    security: Security = "sandbox"
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Written):
    """`CMD`: what a container runs, or the arguments of its entrypoint."""

    form: Form
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Written):
    """`ENTRYPOINT`: what a container always runs. `ENTRYPOINT []` has no arguments and resets it."""

    form: Form
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Written):
    """`SHELL`: what runs the shell forms from here on."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Written):
    """`WORKDIR`: sets, and makes, the current directory."""

    path: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Written):
    """`USER`: who runs what follows, and the container."""

    user: Word
    """`user[:group]`, names or numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Written):
    """`EXPOSE`: ports that the container listens on, sorted as written."""

    ports: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Written):
    """`VOLUME`: paths that are volumes at run time."""

    paths: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopsignal(Written):
    """`STOPSIGNAL`: how a container is asked to stop."""

    signal: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Written):
    """`HEALTHCHECK`: how Docker tests that a container works. Nothing in it is expanded."""

    test: tuple[str, ...]
    """`("NONE",)`, `("CMD", word, …)` or `("CMD-SHELL", command line)`, as the image config holds it."""
    interval: int = 0
    """Nanoseconds, as the other durations; 0 means the default."""
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Written):
    """`MAINTAINER` (deprecated): the author of the image."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Written):
    """`ONBUILD`: an instruction for whoever builds FROM this image."""

    expression: str
    """The instruction as the image config holds it, heredocs included."""
    trigger: TriggerInstruction


TriggerInstruction: TypeAlias = (
    Add
    | Arg
    | Cmd
    | Copy
    | Entrypoint
    | Env
    | Expose
    | Healthcheck
    | Label
    | Run
    | Shell
    | Stopsignal
    | User
    | Volume
    | Workdir
)
Instruction: TypeAlias = TriggerInstruction | Maintainer | Onbuild


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Written):
    """`FROM` and the instructions up to the next one."""

    index: int
    name: str | None
    """Lower-cased; None without `AS`."""
    written_name: str | None = field(default=None, compare=False)
    """As typed."""
    as_keyword: str | None = field(default=None, compare=False, repr=False)
    """As typed: `as`, `As`, `AS`."""
    base: str
    """Image, stage or `scratch`, unexpanded."""
    base_location: Location = field(compare=False, repr=False)
    platform: str | None = None
    """Of `--platform`, unexpanded."""
    platform_location: Location | None = field(default=None, compare=False, repr=False)
    description: str = field(default="", compare=False)
    """From a comment `# name text` right above."""
    instructions: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A whole file: at least one stage, every instruction known, every flag checked."""

    source: SourceFile = field(compare=False, repr=False)
    escape: str = "\\"
    """The escape character, a backslash or a backtick."""
    syntax: str | None = None
    """The frontend that `# syntax=` names; this parser stands in for every version of docker/dockerfile."""
    check: CheckOptions = NO_CHECK_OPTIONS
    """From the `# check=` directive at the top."""
    meta_args: tuple[Arg, ...] = ()
    """ARG before the first FROM."""
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Location, ...] = field(default=(), compare=False, repr=False)
    """Instructions that have blank lines between their continuations: legal now, an error some day."""


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A heredoc that begins with `#!`: the file that is put at `/dev/pipes/NAME`, mode 0755, and run."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """What a RUN executes. In shell form `arguments` is one string, to be given to the shell."""

    form: Form
    arguments: tuple[str, ...]
    script: ScriptFile | None = None


def run_command(run: Run) -> RunCommand:
    """The command of a RUN with its heredocs put where they belong, as BuildKit does it.

    A heredoc that is the whole command is the shell's input, or a file of its own if it begins with `#!`. Any other is
    put back behind the command line, so that the shell reads it.
    """
    if not run.heredocs:
        return RunCommand(run.form, run.arguments)
    (command_line,) = run.arguments
    first = run.heredocs[0]
    if parse_marker(command_line):
        if first.text.startswith("#!"):
            return RunCommand("shell", (f"/dev/pipes/{first.name}",), ScriptFile(first.name, first.text))
        return RunCommand("shell", (first.text,))
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in run.heredocs)
    return RunCommand("shell", (command_line + bodies,))
