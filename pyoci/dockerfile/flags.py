"""The flags of an instruction, `--name=value`, held against those that it has. Every fault is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pyoci.dockerfile.lines import LogicalLine
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.words import FlagWord, Word
from pyoci.errors import DockerfileError
from pyoci.location import Location

__all__ = ["FlagKind", "Flags", "read_flags"]

FlagKind = Literal["boolean", "value", "values"]

_ELSEWHERE = {
    ("ADD", "--from"): "COPY has --from",
    ("ADD", "--parents"): "COPY has --parents",
    ("COPY", "--checksum"): "ADD has --checksum, for what it downloads",
    ("COPY", "--keep-git-dir"): "ADD has --keep-git-dir, for git repositories",
    ("COPY", "--unpack"): "ADD has --unpack",
    ("COPY", "--mount"): "RUN has --mount",
    ("FROM", "--after"): "it belongs to buildah; COPY --from or FROM already orders stages",
    ("RUN", "--privileged"): "write --security=insecure",
    ("RUN", "--platform"): "FROM has --platform",
    ("ENTRYPOINT", "--mount"): "RUN has --mount",
}


class Flags:
    """What was given, once it is known to be right."""

    def __init__(self) -> None:
        self._words: dict[str, list[Word]] = {}
        self._switches: dict[str, bool] = {}
        self.places: dict[str, Location] = {}
        """Of the name of every flag given."""

    def switch(self, name: str) -> bool | None:
        """The state of a boolean flag; None if it is missing."""
        return self._switches.get(name)

    def word(self, name: str) -> Word | None:
        """The value of a flag; None if it is missing or empty."""
        words = self._words.get(name)
        return words[0] if words and words[0].text else None

    def words(self, name: str) -> tuple[Word, ...]:
        """The values of a flag that may be repeated, in order."""
        return tuple(self._words.get(name, ()))

    def add_word(self, name: str, word: Word) -> None:
        self._words.setdefault(name, []).append(word)

    def add_switch(self, name: str, *, state: bool) -> None:
        self._switches[name] = state


def read_flags(
    line: LogicalLine,
    keyword: str,
    given: Sequence[FlagWord],
    known: Mapping[str, FlagKind],
    problems: list[DockerfileError],
) -> Flags:
    """The flags given to an instruction; appends what is wrong with them to `problems`, each located at its flag."""
    flags = Flags()
    for flag in given:
        place = line.location(flag.start, flag.name_end)
        kind = known.get(flag.name[2:])
        if kind is None:
            hint = _hint(keyword, flag.name, known)
            problems.append(DockerfileError(f"unknown flag {flag.name} for {keyword}", hint=hint, location=place))
        elif flag.name in flags.places and kind != "values":
            problems.append(DockerfileError(f"{flag.name} is given twice", hint="keep one of them", location=place))
        elif kind == "boolean":
            _take_switch(flags, flag, place, problems)
        elif flag.value is None:
            problems.append(DockerfileError(f"{flag.name} needs a value", hint=f"write {flag.name}=…", location=place))
        else:
            value_start = min(flag.name_end + 1, flag.end)
            flags.add_word(flag.name[2:], Word(flag.value, line.location(value_start, flag.end)))
        flags.places.setdefault(flag.name, place)
    return flags


def _take_switch(flags: Flags, flag: FlagWord, place: Location, problems: list[DockerfileError]) -> None:
    value = "true" if flag.value is None else flag.value.lower()
    if value not in ("true", "false"):
        message = f'{flag.name} is true or false, not "{flag.value}"' if value else f"{flag.name}= needs a value"
        problems.append(DockerfileError(message, hint=f"write {flag.name} or {flag.name}=false", location=place))
        return
    flags.add_switch(flag.name[2:], state=value == "true")


def _hint(keyword: str, name: str, known: Mapping[str, FlagKind]) -> str:
    if elsewhere := _ELSEWHERE.get((keyword, name)):
        return elsewhere
    near = nearest(name[2:], known)
    if near:
        return f"did you mean --{near}?"
    if not known:
        return f"{keyword} has no flags"
    return f"{keyword} has {', '.join(f'--{flag}' for flag in known)}"
