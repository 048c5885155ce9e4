"""Random input for `differential.py`: plausible pieces put together in ways that nobody would."""

from __future__ import annotations

import random

_KEYWORDS = [
    *("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "WORKDIR", "USER", "EXPOSE", "VOLUME", "CMD", "ENTRYPOINT"),
    *("SHELL", "STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "MAINTAINER"),
]
_WORDS = [
    *(
        "a",
        "b c",
        "$x",
        "${x:-y}",
        "'q'",
        '"d q"',
        "#",
        "# c",
        "\\",
        "\\\\",
        "`",
        "=",
        "a=b",
        "A=",
        "=b",
        "<<EOF",
        "<<-E",
    ),
    *("<<'Q'", "3<<EOF", "EOF", "[", "]", '["a"]', '["a","b"]', '["a", 1]', "[]", "--", "--x", "--from=s", "--link"),
    *("--chown=1:2", "--chmod=755", "--link=false", "--exclude=*.go", "--parents", "--mount=type=cache,target=/x"),
    *(
        "--mount=type=secret,id=a",
        "--mount=type=bind,from=x,source=/a,target=b,rw",
        "--mount=type=tmpfs,size=5m,target=/t",
    ),
    *(
        "--network=none",
        "--security=insecure",
        "--platform=linux/amd64",
        "--interval=5s",
        "--retries=3",
        "--unpack",
        "CMD",
    ),
    *("--checksum=sha256:00", "--keep-git-dir=true", "NONE", "cmd", "AS", "as", "scratch", "alpine:3", "80", "53/udp"),
    *(
        "80-90",
        "/",
        "./",
        "..",
        "*.go",
        " ",
        "\t",
        "é",
        "\u00a0",
        "\x0b",
        "a\\ b",
        '"a\\"b"',
        "x\\",
        "user:grp",
        "SIGTERM",
    ),
    *(
        "9",
        "${x",
        "$",
        "$$",
        "'un",
        '"un',
        '--flag="q v"',
        "--device=a/b=c,required",
        'key="v w"',
        "key='v $x'",
        "<<<x",
    ),
]
_SEPARATORS = [" "] * 6 + [
    "  ",
    "\t",
    " \\\n",
    "\\\n",
    " \\\n  ",
    "`\n",
    " \\\n# c\n ",
    " \\\n\n",
    "\r\n",
    " \\\r\n",
    "\n",
]
_TOPS = [
    *("# escape=`", "# escape=\\", "# syntax=docker/dockerfile:1", "# check=skip=A,B;error=true", "# comment", "#"),
    *("#!/bin/sh", "", "  # indented"),
]
_ABOVE = ["# c", "# base desc", "#", "", "# check=skip=X", "  ", "# x text", " # y"]

_PIECES = [
    *("$", "{", "}", "x", "y", "E", "$x", "${x", "${x}", "${u}", "$u", ":-", ":+", ":?", "-", "+", "?", "#", "%", "/"),
    *(
        "*",
        "\\",
        "'",
        '"',
        "<",
        " ",
        "\t",
        "a",
        "b",
        ".",
        "w x",
        "é",
        "`",
        "\\*",
        "\\}",
        "[",
        "(",
        "$1",
        "@",
        "0",
        "_",
        "$$",
    ),
]
_OPERATORS = [":-", "-", ":+", "+", ":?", "?", "#", "##", "%", "%%", "/", "//"]
_GLOBS = ["a", "b", ".", "*", "?", "\\*", "\\?", "\\\\", "x", ".go", "/", "\\/", "$x", "\\}", "'", '"', "", "[a]", "+"]

_COMPONENTS = [
    *("a", "b", "foo", "bar", "*", "**", "?", "*.go", "a*", "*a*b", "..", ".", "**foo", "a**", "[ab]", "[^a]", "[a-c]"),
    *("\\*", "a.b", "x y", "!", "foo*bar", "***", "é", "?oo", "+"),
]
_NAMES = ["a", "b", "foo", "bar", "a.b", "x.go", "foo.go", "ab", "aab", "foobar", "*", "x y", "é", "z", "c"]

_FROMS = [
    *("FROM alpine", "FROM alpine AS build", "FROM --platform=$BUILDPLATFORM alpine AS Build", "from alpine as b2"),
    *("FROM alpine as c", "FROM --platform=linux/amd64 alpine", "FROM --platform=linux/amd64 alpine AS linux-x"),
    *("FROM --platform=$TARGETPLATFORM armx", "FROM arm:1", "FROM shell", "FROM alpine:$TAG", "FROM alpine:${TAG:-1}"),
    *(
        "FROM $IMG",
        "FROM build",
        "FROM scratch AS scratch",
        "FROM --platform=$BUILDPLATFROM alpine AS z",
        "FROM alpine:$tga",
    ),
    *("From alpine AS x", "FROM alpine AS context", "FROM b2 AS build"),
]
_ARGS = ["ARG TAG", "ARG TAG=3", "ARG IMG=alpine", "ARG IMG", "ARG X=1 Y=$X", "ARG IMG=$TAG"]
_CHECKED = [
    *("RUN echo $x", "ENV a=b", "ENV a b", "ENV PASSWORD=x", "ARG API_TOKEN", "ARG TOKEN_FILE=x", "ENV PUBLIC_KEY=1"),
    *("ARG v=1", "ENV w=$v", "ENV w=$vv", "ENV z=$BASEVAR q=$BASEVARX", "LABEL k v", "LABEL k=$a", "WORKDIR rel"),
    *(
        "WORKDIR /abs",
        "CMD foo",
        'CMD ["a"]',
        "ENTRYPOINT foo",
        'SHELL ["/bin/bash"]',
        "HEALTHCHECK CMD x",
        "EXPOSE 80/TCP",
    ),
    *("EXPOSE 1.2.3.4:80:80", "EXPOSE 80:80/Udp $v", "MAINTAINER me", "USER $unknown", "VOLUME $v", "cmd foo", "run x"),
    *(
        "STOPSIGNAL ${s:-TERM}",
        "COPY $nope /x",
        "COPY <<EOF /x\n$nope $v\nEOF",
        "RUN a \\\n\n b",
        "ONBUILD RUN x",
        "ARG TAG",
    ),
    *(
        "RUN --mount=type=cache,target=/$nope x",
        "ARG q=$r",
        "ARG TARGETARCH",
        "ENV t=$TARGETARCH",
        "COPY --chown=$u:1 a b",
    ),
    *("ONBUILD ENV ob=1", "ENV k=$ob"),
]
_SKIPS = ["# check=skip=UndefinedVar", "# check=skip=LegacyKeyValueFormat,JSONArgsRecommended", "# v desc", "# c"]
_FILE_CHECKS = ["# check=skip=UndefinedVar", "# check=skip=all", "# check=error=true", "# check=experimental=all"]


def _instruction(chance: random.Random) -> str:
    keyword = chance.choice(_KEYWORDS)
    words = chance.choices(_WORDS, k=chance.choice((0, 1, 1, 2, 2, 3, 3, 4, 6)))
    if keyword == "ONBUILD" and chance.random() < 0.8:
        words.insert(0, chance.choice(_KEYWORDS))
    if keyword == "FROM" and chance.random() < 0.8:
        words = chance.choice([["alpine"], ["a", "AS", "b"], ["--platform=$P", "x"], ["scratch", "as", "B1"]])
    if chance.random() < 0.1:
        keyword = chance.choice((keyword.lower(), keyword.title(), keyword + "X", keyword[:-1]))
    separator = chance.choice(_SEPARATORS)
    text = keyword + "".join(chance.choice((" ", " ", separator)) + word for word in words)
    for name in ("EOF", "E", "Q"):
        if "<<" in text and name in text and chance.random() < 0.7:
            text += (
                "\n" + chance.choice(("", "body\n", "\tbody $x\n", "# c\n", "\r\n")) + chance.choice(("", "\t")) + name
            )
    return text


def dockerfile_text(chance: random.Random) -> str:
    lines = chance.choices(_TOPS, k=chance.choice((0, 0, 0, 1, 2, 3)))
    if chance.random() < 0.3:
        lines.append("ARG x=1")
    if chance.random() < 0.9:
        lines.append(chance.choice(("FROM alpine", "FROM alpine AS base")))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        if chance.random() < 0.25:
            lines.append(chance.choice(_ABOVE))
        lines.append(_instruction(chance))
    text = "\n".join(lines) + chance.choice(("\n", "\n", ""))
    if chance.random() < 0.15:
        position = chance.randrange(len(text) + 1)
        text = text[:position] + chance.choice([*_WORDS, "\n", "\\\n"]) + text[position:]
    return text


def word(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return "".join(chance.choices(_PIECES, k=chance.choice((1, 2, 3, 4, 6, 9))))
    operator = chance.choice(_OPERATORS)
    pattern = "".join(chance.choices(_GLOBS, k=chance.choice((1, 2, 3, 4))))
    replacement = "/" + chance.choice(("", "R", "$0", "\\$0", "$x", "\\$1z", "$$")) if "/" in operator else ""
    name = chance.choice(("x", "y", "E", "u", "p", "q"))
    return f"${{{name}{operator}{pattern}{replacement}}}" + chance.choice(("", "z", " ", "$x"))


def globs(chance: random.Random) -> list[str]:
    def one() -> str:
        components = chance.choices(_COMPONENTS, k=chance.choice((1, 1, 2, 2, 3, 4)))
        return chance.choice(("", "", "!")) + "/".join(components)

    return [one() for _ in range(chance.choice((1, 1, 2, 3, 5)))]


def path(chance: random.Random) -> str:
    return "/".join(chance.choices(_NAMES, k=chance.choice((1, 1, 2, 3, 4))))


def checked_text(chance: random.Random) -> str:
    lines = [chance.choice(_FILE_CHECKS)] if chance.random() < 0.2 else []
    lines += chance.choices(_ARGS, k=chance.choice((0, 0, 1, 2)))
    for _ in range(chance.choice((1, 1, 2, 3))):
        if chance.random() < 0.3:
            lines.append(chance.choice(("# build desc", "# x", "#", "", "# check=skip=StageNameCasing")))
        lines.append(chance.choice(_FROMS))
        for _ in range(chance.choice((0, 1, 2, 3, 5))):
            if chance.random() < 0.2:
                lines.append(chance.choice(_SKIPS))
            lines.append(chance.choice(_CHECKED))
    return "\n".join(lines) + "\n"
