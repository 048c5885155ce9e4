"""COPY and ADD: sources, destination, heredocs among them, and the flags of both."""

from __future__ import annotations

import json

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.chmod import parse_mode
from pyoci.dockerfile.flags import FlagKind, Flags, read_flags
from pyoci.dockerfile.heredoc import Heredoc, parse_marker
from pyoci.dockerfile.request import Request
from pyoci.dockerfile.words import Token, Word, word_at
from pyoci.errors import DockerfileError
from pyoci.values import dataclass

__all__ = ["parse_add", "parse_copy"]

_COPY_FLAGS: dict[str, FlagKind] = {
    "from": "value",
    "chown": "value",
    "chmod": "value",
    "link": "boolean",
    "parents": "boolean",
    "exclude": "values",
}
_ADD_FLAGS: dict[str, FlagKind] = {
    "chown": "value",
    "chmod": "value",
    "link": "boolean",
    "keep-git-dir": "boolean",
    "checksum": "value",
    "unpack": "boolean",
    "exclude": "values",
}
_VARIES = frozenset("$'\"\\`")


def parse_copy(request: Request) -> ins.Copy:
    """`COPY [--from=…] [--chown=…] [--chmod=…] [--link] [--parents] [--exclude=…]… source… destination`, or in JSON."""
    flags = read_flags(request.line, "COPY", request.flags, _COPY_FLAGS, request.problems)
    _check_chmod(flags, request)
    paths = _paths(request)
    return ins.Copy(
        **request.written(),
        sources=paths.sources,
        heredocs=paths.heredocs,
        destination=paths.destination,
        from_=flags.word("from"),
        chown=flags.word("chown"),
        chmod=flags.word("chmod"),
        link=flags.switch("link") is True,
        parents=flags.switch("parents") is True,
        exclude=flags.words("exclude"),
    )


def parse_add(request: Request) -> ins.Add:
    """`ADD [--chown=…] [--chmod=…] [--link] [--keep-git-dir] [--checksum=…] [--unpack] [--exclude=…]… source… dest`."""
    flags = read_flags(request.line, "ADD", request.flags, _ADD_FLAGS, request.problems)
    _check_chmod(flags, request)
    paths = _paths(request)
    checksum = flags.word("checksum")
    if checksum is not None and len(paths.sources) != 1:
        request.fail(
            "--checksum is for one source",
            "give every source an ADD of its own",
            flags.places["--checksum"],
        )
    return ins.Add(
        **request.written(),
        sources=paths.sources,
        heredocs=paths.heredocs,
        destination=paths.destination,
        chown=flags.word("chown"),
        chmod=flags.word("chmod"),
        link=flags.switch("link") is True,
        exclude=flags.words("exclude"),
        checksum=checksum,
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


@dataclass(frozen=True, slots=True)
class _Paths:
    sources: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    destination: Word


def _paths(request: Request) -> _Paths:
    if request.json_problem is not None:
        request.fail(
            "the JSON form takes strings only",
            "put every path in double quotes, or leave the brackets out",
            request.line.location(request.json_problem, request.json_problem + 1),
        )
    tokens = list(request.json) if request.json is not None else request.blank_words()
    if len(tokens) < 2:
        example = "source destination"
        if tokens:
            example = f"{tokens[0].text} ." if request.json is None else json.dumps([tokens[0].text, "."])
        message = f"{request.keyword} needs a source and a destination"
        request.fail(message, f"write {request.keyword} {example}", tokens[0] if tokens else None)
    *source_tokens, destination = tokens
    if parse_marker(destination.text):
        request.fail("a heredoc cannot be the destination", "put a path behind it", destination)
    by_name = {heredoc.name: heredoc for heredoc in request.heredocs}
    sources: list[Word] = []
    heredocs: list[Heredoc] = []
    for token in source_tokens:
        marker = parse_marker(token.text)
        if marker is None:
            sources.append(word_at(request.line, token))
        elif marker.name in by_name:
            heredocs.append(by_name[marker.name])
        else:
            _refuse_heredoc(request, token)
    used = {heredoc.name for heredoc in heredocs}
    for name, heredoc in by_name.items():
        if name not in used:
            hint = f"write <<{name} with no blank in it"
            request.fail(f"{request.keyword} does not use the heredoc {name}", hint, heredoc.location)
    return _Paths(tuple(sources), tuple(heredocs), word_at(request.line, destination))


def _refuse_heredoc(request: Request, token: Token) -> None:
    request.fail("the JSON form takes no heredoc", "leave the brackets and quotes out", token)


def _check_chmod(flags: Flags, request: Request) -> None:
    word = flags.word("chmod")
    if word is None or _VARIES.intersection(word.text):
        return
    try:
        parse_mode(word.text)
    except DockerfileError as error:
        error.location = word.location
        request.problems.append(error)
