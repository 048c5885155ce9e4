"""`semvercmp`: whether a version satisfies constraints such as `>=1.2, <2 || ^3.1`.

    constraints = all { "||" all }
    all         = one { [ "," ] one } | version " - " version
    one         = [ "=" | "!=" | ">" | "<" | ">=" | "<=" | "~" | "~>" | "^" ] version, with x or * for any number

Spec: semver.org; the constraints are those of github.com/Masterminds/semver v3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pyoci.bake.values import Value, ValueProblem, as_text
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["VERSIONS"]

_Entry = tuple[Callable[..., Value], int, "int | None"]

_SUFFIX = r"(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
_VERSION = regex(rf"v?(\d{{1,18}})(?:\.(\d{{1,18}}))?(?:\.(\d{{1,18}}))?{_SUFFIX}")
_PART = r"(\d{1,18}|[xX*])"
_ONE = regex(rf"(!=|>=|=>|<=|=<|~>|[=><~^]|)\s*v?{_PART}(?:\.{_PART})?(?:\.{_PART})?{_SUFFIX}")
_RANGE = regex(rf"(v?[\d.xX*]+{_SUFFIX})\s+-\s+(v?[\d.xX*]+{_SUFFIX})")
_BETWEEN = regex(r"\s*,\s*|\s+")


@dataclass(frozen=True, slots=True)
class _Version:
    numbers: tuple[int, int, int]
    pre: str = ""

    @property
    def order(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        """Comparable: a pre-release comes before its version, numbers in it before words."""
        parts = self.pre.split(".") if self.pre else []
        return (
            self.numbers,
            not self.pre,
            [(False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts],
        )


@dataclass(frozen=True, slots=True)
class _Constraint:
    operator: str
    version: _Version
    given: int
    """How many numbers of the version were given; the rest is any."""

    def holds(self, version: _Version) -> bool:
        """Whether a version satisfies it."""
        mine, theirs = version.numbers, self.version.numbers
        order, limit = version.order, self.version.order
        whole = self.given in (0, 3)
        match self.operator:
            case "<":
                return order < limit
            case ">=" | "=>":
                return order >= limit
            case ">":
                return order > limit if whole else mine[: self.given] > theirs[: self.given]
            case "<=" | "=<":
                return order <= limit if self.given == 3 else mine[: self.given or 2] <= theirs[: self.given or 2]
            case "!=":
                same = order == limit if whole else mine[: self.given] == theirs[: self.given]
                return not same or (self.given == 2 and version.pre != self.version.pre)
            case "^":
                return order >= limit and self._same_caret(mine, theirs)
            case "" | "=" if self.given == 3:
                return order == limit
            case _:
                return order >= limit and (self._is_any() or mine[: min(self.given, 2)] == theirs[: min(self.given, 2)])

    def _is_any(self) -> bool:
        return self.version.numbers == (0, 0, 0) and self.given in (0, 3)

    def _same_caret(self, mine: Sequence[int], theirs: Sequence[int]) -> bool:
        if theirs[0] > 0 or self.given == 1:
            return mine[0] == theirs[0]
        same = 2 if theirs[1] > 0 or self.given == 2 else 3
        return mine[:same] == theirs[:same]


def _version(text: str) -> _Version:
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueProblem(f'"{text}" is no version as 1.2.3')
    return _Version((int(found[1]), int(found[2] or 0), int(found[3] or 0)), found[4] or "")


def _constraints(text: str) -> list[list[_Constraint]]:
    return [_all(one) for one in text.split("||")]


def _all(text: str) -> list[_Constraint]:
    rest = _RANGE.sub(lambda found: f">= {found[1]}, <= {found[3]} ", text).strip()
    if not rest:
        return [_Constraint("", _Version((0, 0, 0)), 0)]
    constraints = []
    while rest:
        found = _ONE.match(rest)
        if found is None:
            raise ValueProblem(f'"{text.strip()}" is no constraint as >=1.2, <2')
        constraints.append(_one(found))
        rest = rest[found.end() :]
        between = _BETWEEN.match(rest)
        if rest and (between is None or between.end() == len(rest)):
            raise ValueProblem(f'"{text.strip()}" is no constraint as >=1.2, <2')
        rest = rest[between.end() :] if between else rest
    return constraints


def _one(found: re.Match[str]) -> _Constraint:
    numbers: list[int] = []
    for part in (found[2], found[3], found[4]):
        if part is None or not part.isdigit():
            break
        numbers.append(int(part))
    given = len(numbers)
    first, second, third = [*numbers, 0, 0, 0][:3]
    return _Constraint(found[1], _Version((first, second, third), found[5] or ""), given)


def _semvercmp(version: Value, constraint: Value) -> Value:
    wanted = _version(as_text(version))
    for group in _constraints(as_text(constraint)):
        takes_pre = any(one.version.pre for one in group)
        if (takes_pre or not wanted.pre) and all(one.holds(wanted) for one in group):
            return True
    return False


VERSIONS: Mapping[str, _Entry] = {"semvercmp": (_semvercmp, 2, 2)}
