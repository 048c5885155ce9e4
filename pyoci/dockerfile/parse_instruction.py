"""One logical line to one instruction, each part judged where it stands.

Every function here parses one instruction and raises for what is wrong with it; faults of its flags are independent and
are collected in the request. Grammar in the docstrings: `[x]` optional, `x…` one or more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.comments import comment_offset, trailing_comment_error
from pyoci.dockerfile.flags import read_flags
from pyoci.dockerfile.lines import SPACES
from pyoci.dockerfile.parse_commands import parse_cmd, parse_entrypoint, parse_healthcheck, parse_run, parse_shell
from pyoci.dockerfile.parse_files import parse_add, parse_copy
from pyoci.dockerfile.ports import parse_port
from pyoci.dockerfile.request import Request, read_request
from pyoci.dockerfile.signals import is_signal
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.words import BLANKS, Token, Word, quoted_words, split_first_blank, trimmed, word_at
from pyoci.errors import DockerfileError
from pyoci.regex import regex
from pyoci.values import replace

__all__ = [
    "KEYWORDS",
    "description_of",
    "judged",
    "parse_instruction",
    "trigger_request",
    "unknown_instruction",
]

_NEEDS_EXPANSION = regex(r"""[$'"\\`]""")
T = TypeVar("T")
_ONBUILD = regex(r"[Oo][Nn][Bb][Uu][Ii][Ll][Dd][\t\n\f\r ]*")


def parse_instruction(request: Request) -> ins.Instruction:
    """Any instruction but FROM.

    Raises:
        DockerfileError: it is unknown or malformed; further faults are in `request.problems`.
    """
    parse = _PARSERS.get(request.keyword)
    if parse is None:
        raise unknown_instruction(request)
    return judged(request, parse)


def judged(request: Request, parse: Callable[[Request], T]) -> T:
    """What `parse` makes of the request. Where it fails only because of a comment behind it, the error says so.

    Raises:
        DockerfileError: from `parse`.
    """
    try:
        return parse(request)
    except DockerfileError:
        text, arguments = request.line.text, request.arguments
        offset = comment_offset(text, arguments.start, arguments.end)
        if offset is None or request.heredocs:
            raise
        shortened = trimmed(text, arguments.start, offset)
        try:
            parse(
                replace(
                    read_request(request.line, request.typed_keyword.start, shortened.end, request.escape), problems=[]
                )
            )
        except DockerfileError:
            pass
        else:
            raise trailing_comment_error(request.keyword, request.line.location(offset)) from None
        raise


def unknown_instruction(request: Request) -> DockerfileError:
    """The error for a keyword that is none."""
    typed = request.typed_keyword
    place = request.line.location(typed.start, typed.end)
    if not typed.text:
        return DockerfileError(
            "nothing follows the escape character", hint="take the last escape character away", location=place
        )
    name = next((typed.text[:i] for i, c in enumerate(typed.text) if c in SPACES and c not in BLANKS), typed.text)
    if name != typed.text:
        return DockerfileError(
            f"a space that separates nothing stands behind {name}",
            hint=f"it is U+{ord(typed.text[len(name)]):04X}; type an ordinary space",
            location=place,
        )
    near = nearest(typed.text.upper(), KEYWORDS)
    hint = (
        f"did you mean {near}?"
        if near
        else "a line that goes on needs the escape character at the end of the one before"
    )
    return DockerfileError(f'unknown instruction "{typed.text}"', hint=hint, location=place)


def _no_flags(request: Request) -> None:
    read_flags(request.line, request.keyword, request.flags, {}, request.problems)


def _only_argument(request: Request, example: str) -> Word:
    if not request.arguments.text:
        request.fail(f"{request.keyword} needs an argument", f"write {request.keyword} {example}")
    return word_at(request.line, request.arguments)


def _parse_arg(request: Request) -> ins.Arg:
    """`ARG NAME[=default]…`."""
    _no_flags(request)
    text = request.line.text
    definitions: list[ins.ArgDefinition] = []
    for token in quoted_words(text, request.arguments.start, request.arguments.end, request.escape):
        name, equals, default = token.text.partition("=")
        if not name:
            request.fail("an ARG needs a name", "write ARG NAME=default", token)
        value_start = token.start + len(name) + 1
        definitions.append(
            ins.ArgDefinition(
                Word(name, request.line.location(token.start, token.start + len(name))),
                Word(default, request.line.location(value_start, token.end)) if equals else None,
                description_of(request.line.comments, name),
            )
        )
    if not definitions:
        request.fail("ARG needs a name", "write ARG NAME or ARG NAME=default")
    return ins.Arg(**request.written(), definitions=tuple(definitions))


def description_of(comments: tuple[str, ...], name: str) -> str:
    """The text of the first comment `name text` among those above a definition; empty if there is none."""
    return next((comment[len(name) + 1 :] for comment in comments if comment.startswith(f"{name} ")), "")


def _parse_pairs(request: Request) -> tuple[ins.Pair, ...]:
    """`NAME=value…`, or the older `NAME value` with one pair."""
    _no_flags(request)
    line, keyword, arguments = request.line, request.keyword, request.arguments
    tokens = list(quoted_words(line.text, arguments.start, arguments.end, request.escape))
    if not tokens:
        request.fail(f"{keyword} needs a name and a value", f"write {keyword} NAME=value")
    if "=" not in tokens[0].text:
        name, value = split_first_blank(line.text, arguments.start, arguments.end)
        if value is None:
            request.fail(f'{keyword} needs a value for "{name.text}"', f"write {keyword} {name.text}=value", name)
        return (ins.Pair(word_at(line, name), word_at(line, value), legacy=True),)
    pairs: list[ins.Pair] = []
    for token in tokens:
        name_text, equals, value_text = token.text.partition("=")
        if not equals:
            request.fail(
                f'{keyword} needs NAME=value, not "{token.text}"',
                "put a value with spaces in double quotes",
                token,
            )
        if not name_text:
            request.fail(f"{keyword} needs a name before =", f"write {keyword} NAME=value", token)
        middle = token.start + len(name_text)
        name_word = Word(name_text, line.location(token.start, middle))
        pairs.append(ins.Pair(name_word, Word(value_text, line.location(min(middle + 1, token.end), token.end))))
    return tuple(pairs)


def _parse_env(request: Request) -> ins.Env:
    """`ENV NAME=value…` or `ENV NAME value`."""
    return ins.Env(**request.written(), pairs=_parse_pairs(request))


def _parse_label(request: Request) -> ins.Label:
    """`LABEL name=value…` or `LABEL name value`."""
    return ins.Label(**request.written(), pairs=_parse_pairs(request))


def _parse_workdir(request: Request) -> ins.Workdir:
    """`WORKDIR path`; the path may hold spaces."""
    _no_flags(request)
    return ins.Workdir(**request.written(), path=_only_argument(request, "/path"))


def _parse_user(request: Request) -> ins.User:
    """`USER user[:group]`."""
    _no_flags(request)
    return ins.User(**request.written(), user=_only_argument(request, "name or USER name:group"))


def _parse_expose(request: Request) -> ins.Expose:
    """`EXPOSE port[-port][/protocol]…`."""
    _no_flags(request)
    tokens = request.blank_words()
    if not tokens:
        request.fail("EXPOSE needs a port", "write EXPOSE 8080 or EXPOSE 53/udp")
    for token in tokens:
        if not _NEEDS_EXPANSION.search(token.text):
            try:
                parse_port(token.text)
            except ValueError as error:
                request.fail(
                    f'cannot expose "{token.text}": {error}', "write a port as 8080, 7000-7010 or 53/udp", token
                )
    tokens.sort(key=lambda token: token.text.encode("utf-8", "surrogateescape"))
    return ins.Expose(**request.written(), ports=tuple(word_at(request.line, token) for token in tokens))


def _parse_volume(request: Request) -> ins.Volume:
    """`VOLUME path…` or `VOLUME ["path", …]`."""
    _no_flags(request)
    if request.json_problem is not None:
        place = request.line.location(request.json_problem, request.json_problem + 1)
        request.fail("the JSON form takes strings only", "put every path in double quotes", place)
    tokens = request.json if request.json is not None else request.blank_words()
    if not tokens:
        request.fail("VOLUME needs a path", "write VOLUME /data")
    for token in tokens:
        if not token.text.strip(SPACES):
            request.fail("a volume's path cannot be empty", None, token)
    stripped = (Token(token.text.strip(SPACES), token.start, token.end) for token in tokens)
    return ins.Volume(**request.written(), paths=tuple(word_at(request.line, token) for token in stripped))


def _parse_stopsignal(request: Request) -> ins.Stopsignal:
    """`STOPSIGNAL name | number`."""
    _no_flags(request)
    signal = _only_argument(request, "SIGTERM")
    if not _NEEDS_EXPANSION.search(signal.text) and not is_signal(signal.text):
        request.fail(f'"{signal.text}" is no signal', "write a name such as SIGTERM, or a number", signal.location)
    return ins.Stopsignal(**request.written(), signal=signal)


def _parse_maintainer(request: Request) -> ins.Maintainer:
    """`MAINTAINER name`."""
    _no_flags(request)
    return ins.Maintainer(**request.written(), name=_only_argument(request, "name").text)


def _parse_onbuild(request: Request) -> ins.Onbuild:
    """`ONBUILD instruction`."""
    _no_flags(request)
    if not request.arguments.text:
        request.fail("ONBUILD needs an instruction", "write ONBUILD RUN command")
    inner = trigger_request(request)
    if inner.keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        place = inner.line.location(inner.typed_keyword.start, inner.typed_keyword.end)
        request.fail(f"ONBUILD cannot hold {inner.keyword}", None, place)
    trigger = parse_instruction(inner)
    if isinstance(trigger, ins.Onbuild | ins.Maintainer):
        raise AssertionError(trigger)
    return ins.Onbuild(**request.written(), expression=inner.source_text, trigger=trigger)


def trigger_request(request: Request) -> Request:
    """What stands behind ONBUILD, cut into its parts."""
    inner = read_request(request.line, request.arguments.start, request.arguments.end, request.escape)
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in request.heredocs)
    typed = request.line.text[request.typed_keyword.start :]
    return replace(
        inner,
        heredocs=request.heredocs,
        source_text=_ONBUILD.sub("", typed, count=1) + bodies,
        last_line=request.last_line,
        problems=request.problems,
    )


_PARSERS: dict[str, Callable[[Request], ins.Instruction]] = {
    "ADD": parse_add,
    "ARG": _parse_arg,
    "CMD": parse_cmd,
    "COPY": parse_copy,
    "ENTRYPOINT": parse_entrypoint,
    "ENV": _parse_env,
    "EXPOSE": _parse_expose,
    "HEALTHCHECK": parse_healthcheck,
    "LABEL": _parse_label,
    "MAINTAINER": _parse_maintainer,
    "ONBUILD": _parse_onbuild,
    "RUN": parse_run,
    "SHELL": parse_shell,
    "STOPSIGNAL": _parse_stopsignal,
    "USER": _parse_user,
    "VOLUME": _parse_volume,
    "WORKDIR": _parse_workdir,
}
KEYWORDS = (*_PARSERS, "FROM")
