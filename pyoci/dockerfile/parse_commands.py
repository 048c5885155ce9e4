"""The instructions that hold a command: RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, TypeVar

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.flags import FlagKind, Flags, read_flags
from pyoci.dockerfile.json_words import NotAllStrings, json_words
from pyoci.dockerfile.mount_options import MountOptions, parse_mount_options, split_commas
from pyoci.dockerfile.mounts import mount_of
from pyoci.dockerfile.request import Request
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.units import parse_boolean, parse_duration
from pyoci.dockerfile.words import Token, Word, split_first_blank
from pyoci.errors import DockerfileError
from pyoci.regex import regex

__all__ = ["parse_cmd", "parse_entrypoint", "parse_healthcheck", "parse_run", "parse_shell"]

_RUN_FLAGS: dict[str, FlagKind] = {"mount": "values", "network": "value", "security": "value", "device": "values"}
_HEALTHCHECK_FLAGS: dict[str, FlagKind] = {
    "interval": "value",
    "timeout": "value",
    "start-period": "value",
    "start-interval": "value",
    "retries": "value",
}
_SHORTEST_INTERVAL = 1_000_000
_MOST_RETRIES = 2**31 - 1
_WHOLE_NUMBER = regex(r"[+-]?[0-9]{1,12}")
_NETWORKS: tuple[ins.Network, ...] = ("default", "none", "host")
_SECURITY: tuple[ins.Security, ...] = ("sandbox", "insecure")
_VARIES = frozenset("$'\"\\`")

T = TypeVar("T", bound=str)


def parse_run(request: Request) -> ins.Run:
    """`RUN [--mount=…]… [--network=…] [--security=…] [--device=…]… command | ["word", …]`."""
    flags = read_flags(request.line, "RUN", request.flags, _RUN_FLAGS, request.problems)
    form, arguments = _command(request)
    if form == "exec" and not arguments:
        request.fail("RUN [] has nothing to run", 'write RUN ["program", "argument"]', request.arguments)
    return ins.Run(
        **request.written(),
        form=form,
        arguments=arguments,
        heredocs=request.heredocs,
        mounts=tuple(_mounts(flags, request)),
        network=_choice(flags, "network", _NETWORKS, request) or "default",
        security=_choice(flags, "security", _SECURITY, request) or "sandbox",
        devices=tuple(device for word in flags.words("device") if (device := _device(word, request))),
    )


def parse_cmd(request: Request) -> ins.Cmd:
    """`CMD command | ["word", …]`."""
    read_flags(request.line, "CMD", request.flags, {}, request.problems)
    form, arguments = _command(request)
    return ins.Cmd(**request.written(), form=form, arguments=arguments)


def parse_entrypoint(request: Request) -> ins.Entrypoint:
    """`ENTRYPOINT command | ["word", …]`."""
    read_flags(request.line, "ENTRYPOINT", request.flags, {}, request.problems)
    form, arguments = _command(request)
    return ins.Entrypoint(**request.written(), form=form, arguments=arguments)


def parse_shell(request: Request) -> ins.Shell:
    """`SHELL ["program", "argument"…]`."""
    read_flags(request.line, "SHELL", request.flags, {}, request.problems)
    form, arguments = _command(request)
    if form == "shell" or not arguments:
        request.fail("SHELL needs a JSON array of strings", 'write SHELL ["/bin/bash", "-c"]', request.arguments)
    return ins.Shell(**request.written(), arguments=arguments)


def parse_healthcheck(request: Request) -> ins.Healthcheck:
    """`HEALTHCHECK [--interval=…] … CMD command | ["word", …]`, or `HEALTHCHECK NONE`."""
    flags = read_flags(request.line, "HEALTHCHECK", request.flags, _HEALTHCHECK_FLAGS, request.problems)
    kind, rest = split_first_blank(request.line.text, request.arguments.start, request.arguments.end)
    match kind.text.upper():
        case "":
            request.fail("HEALTHCHECK needs CMD or NONE", "write HEALTHCHECK CMD command")
        case "NONE" if rest:
            request.fail("HEALTHCHECK NONE takes no arguments", None, rest)
        case "NONE":
            test: tuple[str, ...] = ("NONE",)
        case "CMD":
            form, arguments = _healthcheck_command(request, rest or Token("", kind.end, kind.end))
            if not arguments or arguments == ("",):
                request.fail(
                    "HEALTHCHECK CMD needs a command", "write HEALTHCHECK CMD command, or HEALTHCHECK NONE", kind
                )
            test = ("CMD", *arguments) if form == "exec" else ("CMD-SHELL", *arguments)
        case other:
            near = nearest(other, ("CMD", "NONE"))
            hint = f"did you mean {near}?" if near else f"write HEALTHCHECK CMD {request.arguments.text}"
            request.fail(f'HEALTHCHECK needs CMD or NONE, not "{kind.text}"', hint, kind)
    return ins.Healthcheck(
        **request.written(),
        test=test,
        interval=_interval(flags, "interval", request),
        timeout=_interval(flags, "timeout", request),
        start_period=_interval(flags, "start-period", request),
        start_interval=_interval(flags, "start-interval", request),
        retries=_retries(flags, request),
    )


def _command(request: Request) -> tuple[ins.Form, tuple[str, ...]]:
    if request.json_problem is not None:
        _refuse_json(request, request.json_problem)
    if request.json is not None:
        return "exec", tuple(word.text for word in request.json)
    return "shell", (request.arguments.text,)


def _healthcheck_command(request: Request, rest: Token) -> tuple[ins.Form, tuple[str, ...]]:
    try:
        words = json_words(request.line.text, rest.start, rest.end)
    except NotAllStrings as error:
        _refuse_json(request, error.offset)
    if words is not None:
        return "exec", tuple(word.text for word in words)
    return "shell", (rest.text,)


def _refuse_json(request: Request, offset: int) -> NoReturn:
    request.fail(
        "the JSON form takes strings only",
        "put every word in double quotes, or leave the brackets out",
        request.line.location(offset, offset + 1),
    )


def _choice(flags: Flags, name: str, choices: tuple[T, ...], request: Request) -> T | None:
    word = flags.word(name)
    if word is None:
        if flags.words(name):
            _collect(request, f"--{name} needs a value", f"one of {', '.join(choices)}", flags.words(name)[0])
        return None
    for choice in choices:
        if word.text == choice:
            return choice
    near = nearest(word.text, choices)
    hint = f"did you mean {near}?" if near else f"one of {', '.join(choices)}"
    _collect(request, f'--{name} cannot be "{word.text}"', hint, word)
    return None


def _collect(request: Request, message: str, hint: str | None, word: Word) -> None:
    request.problems.append(DockerfileError(message, hint=hint, location=word.location))


def _mounts(flags: Flags, request: Request) -> Iterator[MountOptions]:
    for word in flags.words("mount"):
        try:
            options = parse_mount_options(word.text, word.location)
            if not _VARIES.intersection(word.text):
                mount_of(options)
        except DockerfileError as error:
            request.problems.append(error)
        else:
            yield options


def _device(word: Word, request: Request) -> ins.Device | None:
    """`name[,required[=true]]` or `name=NAME[,…]`; a name may itself hold `=`."""
    try:
        fields = [text for text, _ in split_commas(word.text)]
    except ValueError as error:
        _collect(request, f"--device {error}", "write --device=vendor.com/class=device", word)
        return None
    name, required = "", False
    for field in fields:
        key, equals, value = field.partition("=")
        match key.lower():
            case "required":
                try:
                    required = parse_boolean(value) if equals else True
                except ValueError:
                    _collect(request, f'required is true or false, not "{value}"', None, word)
                    return None
            case "name" if equals and not name:
                name = value
            case _ if not name:
                name = field
            case _:
                _collect(request, f'"{field}" is no option of --device', "the options are name and required", word)
                return None
    if not name:
        _collect(request, "--device needs a name", "write --device=vendor.com/class=device", word)
        return None
    return ins.Device(name, required)


def _interval(flags: Flags, name: str, request: Request) -> int:
    word = flags.word(name)
    if word is None:
        return 0
    try:
        nanoseconds = parse_duration(word.text)
    except ValueError:
        _collect(request, f'"{word.text}" is no duration', "write a number and a unit: 30s, 1m30s, 500ms", word)
        return 0
    if nanoseconds and nanoseconds < _SHORTEST_INTERVAL:
        _collect(request, f"--{name} cannot be less than 1ms", None, word)
    return nanoseconds


def _retries(flags: Flags, request: Request) -> int:
    word = flags.word("retries")
    if word is None:
        return 0
    number = int(word.text) if _WHOLE_NUMBER.fullmatch(word.text) else _MOST_RETRIES + 1
    if abs(number) > _MOST_RETRIES:
        _collect(request, f'--retries is a number, not "{word.text}"', None, word)
    elif number < 0:
        _collect(request, "--retries cannot be negative", None, word)
    return number
