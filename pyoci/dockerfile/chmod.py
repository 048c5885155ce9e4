"""`--chmod`: octal modes up to 07777 and symbolic ones (`u=rwX,go=rX`), as BSD's `chmod(1)` and BuildKit read them.

A symbolic mode without `u`, `g`, `o` or `a` means all of them: a build has no umask.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pyoci.errors import DockerfileError
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["ModeChange", "parse_mode"]

_HINT = "write an octal mode (0755) or a symbolic one (u=rwX,go=rX)"
_OCTAL = regex(r"0*([0-7]{1,5})")
_CLAUSE = regex(r"([augo]*)((?:[-+=][rstwxXugo]*)+)")
_ACTION = regex(r"([-+=])([rstwxXugo]*)")
_ANY_EXECUTE = 0o111
_ALL = 0o6777
_STICKY = 0o1000
_OTHERS = 0o007
_WHO = {"a": _ALL, "u": 0o4700, "g": 0o2070, "o": _OTHERS}
_PLAIN = {"r": 0o444, "w": 0o222, "x": _ANY_EXECUTE}
_SHIFTS = {"u": 6, "g": 3, "o": 0}

_Operator = Literal["+", "-", "X"]


@dataclass(frozen=True, slots=True)
class _Bits:
    """Sets (`+`) or clears (`-`) bits; `X` sets them where the file was executable or is a directory."""

    operator: _Operator
    bits: int


@dataclass(frozen=True, slots=True)
class _CopyClass:
    """Gives classes the permissions that another class has at that moment."""

    source: str
    classes: tuple[str, ...]
    operator: str


_Step: TypeAlias = _Bits | _CopyClass


@dataclass(frozen=True, slots=True)
class ModeChange:
    """What a `--chmod` does to a mode."""

    text: str
    octal: int | None
    """The mode itself; None for a symbolic one."""
    steps: tuple[_Step, ...] = ()

    def __call__(self, mode: int, is_directory: bool, /) -> int:
        """The mode (0..07777) that a file of this mode gets."""
        if self.octal is not None:
            return self.octal
        result = mode
        for step in self.steps:
            match step:
                case _Bits(operator, bits):
                    if operator == "-":
                        result &= ~bits
                    elif operator == "+" or is_directory or mode & _ANY_EXECUTE:
                        result |= bits
                case _CopyClass(source, classes, operator):
                    value = result >> _SHIFTS[source] & 0o7
                    for shift in (_SHIFTS[name] for name in classes):
                        if operator in "-=":
                            result &= ~((0o7 if operator == "=" else value) << shift)
                        if operator in "+=":
                            result |= value << shift
        return result


def parse_mode(text: str) -> ModeChange:
    """The change that an octal or symbolic mode means.

    Raises:
        DockerfileError: it is neither; not located.
    """
    if text[:1].isdecimal():
        match = _OCTAL.fullmatch(text)
        if match is None or int(match[1], 8) > 0o7777:
            raise DockerfileError(f'the mode "{text}" is no octal number from 0 to 07777', hint=_HINT)
        return ModeChange(text, int(match[1], 8))
    steps: list[_Step] = []
    for clause_text in text.split(","):
        clause = _CLAUSE.fullmatch(clause_text)
        if clause is None:
            raise DockerfileError(f'"{text}" is no mode', hint=_HINT)
        who = 0
        for letter in clause[1]:
            who |= _WHO[letter]
        for operator, permissions in _ACTION.findall(clause[2]):
            steps += _action(who, operator, permissions)
    return ModeChange(text, None, tuple(steps))


def _action(who: int, operator: str, permissions: str) -> list[_Step]:
    steps: list[_Step] = []
    bits = conditional = 0
    assigned = False
    for letter in permissions:
        if letter in _PLAIN:
            bits |= _PLAIN[letter]
        elif letter == "X" and operator != "-":
            conditional = _ANY_EXECUTE
        elif letter == "X":
            bits |= _ANY_EXECUTE
        elif letter == "s":
            bits |= 0o6000 if who & ~_OTHERS or not who else 0
        elif letter == "t":
            if who & ~_OTHERS or not who:
                who, bits = who | _STICKY, bits | _STICKY
        else:
            if bits:
                steps += _set(who, operator, bits)
            steps += _executable(who, conditional)
            classes = tuple(name for name in "ugo" if who & 0o4 << _SHIFTS[name]) if who else ("u", "g", "o")
            steps.append(_CopyClass(letter, classes, operator))
            bits = conditional = 0
            assigned = True
    if bits or (operator == "=" and not assigned):
        steps += _set(who, operator, bits)
    return steps + _executable(who, conditional)


def _set(who: int, operator: str, bits: int) -> list[_Step]:
    chosen = who & bits if who else bits
    if operator == "-":
        return [_Bits("-", chosen)]
    if operator == "=":
        return [_Bits("-", who or _ALL), _Bits("+", chosen)]
    return [_Bits("+", chosen)]


def _executable(who: int, bits: int) -> list[_Step]:
    return [_Bits("X", who & bits if who else bits)] if bits else []
