"""Variables, quotes and escapes resolved: in a word, in a heredoc, in the fields of an instruction that take variables.

Looks nothing up itself; `lookup` says what a variable is, with one value for the whole instruction. Spec: Dockerfile
reference, "Environment replacement". What is not expanded: the commands of RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK,
`--from`, `--exclude`, the names of ARG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.heredoc import Heredoc
from pyoci.dockerfile.lexer import Expansion, ExpansionError, Lookup, Mode, expand_word, expand_words
from pyoci.dockerfile.mount_options import expanded_options
from pyoci.dockerfile.words import Word
from pyoci.location import Location
from pyoci.values import replace

__all__ = [
    "Expansion",
    "ExpansionError",
    "Lookup",
    "OnMissing",
    "expand",
    "expand_heredoc",
    "expand_instruction",
    "expand_word",
    "expand_words",
]

_HEREDOC = Mode(plain_quotes=True)

OnMissing: TypeAlias = Callable[[str, Location], None]

I = TypeVar("I", bound=ins.Instruction)  # noqa: E741 -- any one kind of instruction


def expand(word: str, lookup: Lookup, escape: str = "\\", *, location: Location | None = None) -> str:
    """The word with its variables replaced and its quotes removed.

    Raises:
        ExpansionError: at `location`.
    """
    return expand_word(word, lookup, escape=escape, location=location).text


def expand_heredoc(content: str, lookup: Lookup, *, location: Location | None = None) -> Expansion:
    """A heredoc's text with its variables replaced; quotes stay, a backslash takes the next character literally.

    Raises:
        ExpansionError: at `location`.
    """
    return expand_word(content, lookup, mode=_HEREDOC, location=location)


def expand_instruction(instruction: I, lookup: Lookup, escape: str = "\\", *, on_missing: OnMissing | None = None) -> I:
    """The same instruction with every field expanded that takes variables.

    `on_missing(name, location)` is called for every variable of a word that is not set, in the order of the names.

    Raises:
        ExpansionError: at the word.
    """
    expander = _Expander(lookup, escape, on_missing)
    expanded = expander.instruction(instruction)
    assert isinstance(expanded, type(instruction))
    return expanded


class _Expander:
    def __init__(self, lookup: Lookup, escape: str, on_missing: OnMissing | None) -> None:
        self._lookup = lookup
        self._escape = escape
        self._on_missing = on_missing

    def instruction(self, instruction: ins.Instruction) -> ins.Instruction:
        match instruction:
            case ins.Env() | ins.Label():
                return replace(instruction, pairs=tuple(map(self._pair, instruction.pairs)))
            case ins.Copy():
                return replace(
                    instruction,
                    sources=self._words(instruction.sources),
                    heredocs=tuple(map(self._heredoc, instruction.heredocs)),
                    destination=self._word(instruction.destination),
                    chown=self._optional(instruction.chown),
                    chmod=self._optional(instruction.chmod),
                )
            case ins.Add():
                return replace(
                    instruction,
                    sources=self._words(instruction.sources),
                    heredocs=tuple(map(self._heredoc, instruction.heredocs)),
                    destination=self._word(instruction.destination),
                    chown=self._optional(instruction.chown),
                    chmod=self._optional(instruction.chmod),
                    checksum=self._optional(instruction.checksum),
                )
            case ins.Run():
                mounts = tuple(expanded_options(mount, self._text) for mount in instruction.mounts)
                return replace(instruction, mounts=mounts)
            case ins.Workdir():
                return replace(instruction, path=self._word(instruction.path))
            case ins.User():
                return replace(instruction, user=self._word(instruction.user))
            case ins.Volume():
                return replace(instruction, paths=self._words(instruction.paths))
            case ins.Stopsignal():
                return replace(instruction, signal=self._word(instruction.signal))
            case ins.Expose():
                return replace(instruction, ports=self._ports(instruction.ports))
            case ins.Arg():
                return replace(
                    instruction,
                    definitions=tuple(
                        replace(definition, default=self._optional(definition.default))
                        for definition in instruction.definitions
                    ),
                )
            case _:
                return instruction

    def _noted(self, expansion: Expansion, location: Location | None) -> Expansion:
        if self._on_missing is not None and location is not None:
            for name in sorted(expansion.missing):
                self._on_missing(name, location)
        return expansion

    def _text(self, text: str, location: Location) -> str:
        return self._noted(expand_word(text, self._lookup, escape=self._escape, location=location), location).text

    def _word(self, word: Word) -> Word:
        return replace(word, text=self._text(word.text, word.location))

    def _words(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        return tuple(map(self._word, words))

    def _optional(self, word: Word | None) -> Word | None:
        return None if word is None else self._word(word)

    def _pair(self, pair: ins.Pair) -> ins.Pair:
        return replace(pair, name=self._word(pair.name), value=self._word(pair.value))

    def _heredoc(self, heredoc: Heredoc) -> Heredoc:
        """Tabs are stripped first, then variables replaced; what comes out is not expanded again."""
        content = heredoc.text
        if heredoc.expand:
            place = heredoc.location
            content = self._noted(expand_heredoc(content, self._lookup, location=place), place).text
        return replace(heredoc, content=content, expand=False, strip_tabs=False)

    def _ports(self, ports: tuple[Word, ...]) -> tuple[Word, ...]:
        """A variable may hold several ports."""
        words: list[Word] = []
        for port in ports:
            expansion = expand_word(port.text, self._lookup, escape=self._escape, location=port.location)
            words += (replace(port, text=text) for text in self._noted(expansion, port.location).words)
        return tuple(words)
