"""Texts that look like Dockerfiles, and Dockerfiles printed back in one canonical form."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hypothesis import strategies as st

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.checks import CheckOptions
from pyoci.dockerfile.heredoc import Heredoc
from pyoci.dockerfile.instructions import Dockerfile, Instruction, Stage
from pyoci.dockerfile.mounts import MountOptions
from pyoci.dockerfile.words import Word

_KEYWORDS = (
    *("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "WORKDIR", "USER", "EXPOSE", "VOLUME", "CMD", "ENTRYPOINT"),
    *("SHELL", "STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "MAINTAINER", "from", "Run", "CPY", "#", ""),
)
_WORDS = (
    *("a", "b c", "$x", "${x:-y}", "${x%", "'q'", '"d q"', "# c", "\\", "\\\\", "`", "=", "a=b", "A=", "=b", 'x="y z"'),
    *(
        "<<EOF",
        "<<-E",
        "<<'Q'",
        "3<<EOF",
        "EOF",
        "[",
        "]",
        '["a"]',
        '["a", "b"]',
        '["a", 1]',
        "[]",
        "--",
        "--x",
        "--from=s",
    ),
    *(
        "--chown=1:2",
        "--chmod=755",
        "--chmod=u+x",
        "--link",
        "--link=no",
        "--exclude=*.go",
        "--parents",
        "--platform=$P",
    ),
    *(
        "--mount=type=cache,target=/x",
        "--mount=type=secret,id=a",
        "--mount=type=ssh",
        "--mount=target=b,rw",
        "--mount=x",
    ),
    *(
        "--network=none",
        "--security=insecure",
        "--interval=5s",
        "--retries=3",
        "--checksum=sha256:00",
        "--unpack",
        "CMD",
    ),
    *("NONE", "AS", "as", "alpine:3", "80", "53/udp", "/", "./", "*.go", "\t", "é", "\u00a0", "\x0b", "\udc80", "\x00"),
    *("a\\ b", "x\\", "SIGTERM", "9", "'open", '"open', '--chown="a b"', "--device=a/b=c,required", "key='v $x'", "&&"),
)
_LINE_ENDS = ("\n", "\n", "\n", "\r\n", "\\\n", "\\\n\n", "\\\n# c\n", "`\n", "\n\n", "", "\nEOF\n", "\n\tE\n", "\nQ\n")
_TOPS = (
    "",
    "# escape=`\n",
    "# syntax=docker/dockerfile:1\n",
    "# check=skip=A,B;error=true\n",
    "# c\n",
    "\ufeff",
    "#!/x\n",
    "ARG x=1\n",
)


@st.composite
def _instruction(draw: st.DrawFn) -> str:
    words = draw(st.lists(st.sampled_from(_WORDS), max_size=6))
    separator = draw(st.sampled_from((" ", " ", " ", "  ", " \\\n ", "\t", "")))
    return separator.join([draw(st.sampled_from(_KEYWORDS)), *words]) + draw(st.sampled_from(_LINE_ENDS))


@st.composite
def dockerfile_texts(draw: st.DrawFn) -> str:
    """Mostly plausible, often broken."""
    top = "".join(draw(st.lists(st.sampled_from(_TOPS), max_size=3)))
    start = draw(st.sampled_from(("FROM alpine\n", "FROM alpine AS base\n", "")))
    return top + start + "".join(draw(st.lists(_instruction(), max_size=5)))


def printed(dockerfile: Dockerfile) -> str:
    """The Dockerfile in a form that says the same."""
    return "".join(f"{line}\n" for line in _lines(dockerfile))


def _lines(dockerfile: Dockerfile) -> Iterator[str]:
    escape = dockerfile.escape
    if escape != "\\":
        yield f"# escape={escape}"
    if dockerfile.syntax is not None:
        yield f"# syntax={dockerfile.syntax}"
    if options := list(_check_options(dockerfile.check)):
        yield f"# check={';'.join(options)}"
    for arg in dockerfile.meta_args:
        yield _text(arg, escape)
    for stage in dockerfile.stages:
        yield _from(stage, escape)
        for instruction in stage.instructions:
            yield _text(instruction, escape)


def _check_options(check: CheckOptions) -> Iterator[str]:
    if check.skip or check.skip_all:
        yield f"skip={'all' if check.skip_all else ','.join(sorted(check.skip))}"
    if check.experimental or check.experimental_all:
        yield f"experimental={'all' if check.experimental_all else ','.join(sorted(check.experimental))}"
    if check.error:
        yield "error=true"


def _from(stage: Stage, escape: str) -> str:
    platform = _flag("platform", stage.platform, escape) if stage.platform else ""
    return f"FROM {platform}-- {stage.base}" + (f" AS {stage.name}" if stage.name else "")


def _flag(name: str, value: str, escape: str) -> str:
    quoted = "".join(escape + c if c in f"\"'{escape} \t\r\f\v" else c for c in value)
    return f"--{name}={quoted} "


def _optional(name: str, word: Word | None, escape: str) -> str:
    return _flag(name, word.text, escape) if word else ""


def _switch(name: str, value: bool | None) -> str:
    return "" if value is None else f"--{name}={str(value).lower()} "


def _command(form: str, arguments: tuple[str, ...]) -> str:
    if form == "exec":
        return json.dumps(arguments)
    (text,) = arguments
    return f"-- {text}" if text.startswith("--") else text


def _bodies(heredocs: tuple[Heredoc, ...]) -> str:
    return "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in heredocs)


def _marker(heredoc: Heredoc) -> str:
    quote = "" if heredoc.expand else "'"
    return f"{heredoc.descriptor or ''}<<{'-' if heredoc.strip_tabs else ''}{quote}{heredoc.name}{quote}"


def _paths(copy: ins.Copy | ins.Add) -> str:
    words = [word.text for word in copy.sources]
    if not copy.heredocs:
        return json.dumps([*words, copy.destination.text])
    markers = map(_marker, copy.heredocs)
    return " ".join(["--", *markers, *words, copy.destination.text]) + _bodies(copy.heredocs)


def _mount(mount: MountOptions) -> str:
    options = (option.key if option.value is None else f"{option.key}={option.value}" for option in mount.options)
    return ",".join('"' + option.replace('"', '""') + '"' for option in options)


def _healthcheck(check: ins.Healthcheck, escape: str) -> str:
    names = ("interval", "timeout", "start_period", "start_interval")
    flags = "".join(_flag(n.replace("_", "-"), f"{getattr(check, n)}ns", escape) for n in names if getattr(check, n))
    flags += _flag("retries", str(check.retries), escape) if check.retries else ""
    match check.test:
        case ("NONE",):
            return f"HEALTHCHECK {flags}NONE"
        case ("CMD", *words):
            return f"HEALTHCHECK {flags}CMD {json.dumps(words)}"
        case (_, *words):
            return f"HEALTHCHECK {flags}CMD {words[0]}"
        case _:
            raise AssertionError(check)


def _pairs(pairs: tuple[ins.Pair, ...]) -> str:
    return " ".join(f"{p.name.text}{'  ' if p.legacy else '='}{p.value.text}" for p in pairs)


def _text(instruction: Instruction, escape: str) -> str:
    match instruction:
        case ins.Copy() | ins.Add():
            flags = _optional("chown", instruction.chown, escape) + _optional("chmod", instruction.chmod, escape)
            flags += _switch("link", instruction.link)
            flags += "".join(_flag("exclude", word.text, escape) for word in instruction.exclude)
            if isinstance(instruction, ins.Copy):
                flags += _optional("from", instruction.from_, escape) + _switch("parents", instruction.parents)
                return f"COPY {flags}{_paths(instruction)}"
            flags += _optional("checksum", instruction.checksum, escape)
            flags += _switch("keep-git-dir", instruction.keep_git_dir) + _switch("unpack", instruction.unpack)
            return f"ADD {flags}{_paths(instruction)}"
        case ins.Run():
            flags = "".join(_flag("mount", _mount(mount), escape) for mount in instruction.mounts)
            flags += _flag("network", instruction.network, escape) + _flag("security", instruction.security, escape)
            for device in instruction.devices:
                flags += _flag("device", f"{device.name},required={str(device.required).lower()}", escape)
            return f"RUN {flags}{_command(instruction.form, instruction.arguments)}{_bodies(instruction.heredocs)}"
        case ins.Cmd() | ins.Entrypoint():
            return f"{type(instruction).__name__} {_command(instruction.form, instruction.arguments)}"
        case ins.Env() | ins.Label():
            return f"{type(instruction).__name__} -- {_pairs(instruction.pairs)}"
        case ins.Arg():
            words = (d.name.text + (f"={d.default.text}" if d.default else "") for d in instruction.definitions)
            return f"ARG -- {' '.join(words)}"
        case ins.Expose():
            return f"EXPOSE -- {' '.join(word.text for word in instruction.ports)}"
        case ins.Volume():
            return f"VOLUME {json.dumps([word.text for word in instruction.paths])}"
        case ins.Shell():
            return f"SHELL {json.dumps(instruction.arguments)}"
        case ins.Workdir():
            return f"WORKDIR -- {instruction.path.text}"
        case ins.User():
            return f"USER -- {instruction.user.text}"
        case ins.Stopsignal():
            return f"STOPSIGNAL -- {instruction.signal.text}"
        case ins.Maintainer():
            return f"MAINTAINER -- {instruction.name}"
        case ins.Healthcheck():
            return _healthcheck(instruction, escape)
        case ins.Onbuild():
            return f"ONBUILD {instruction.expression}"
