"""The patterns of `.dockerignore`, `--exclude`, `--parents` and of COPY's sources, with docker's exact semantics.

Two languages that look alike. `go_match` is Go's `filepath.Match`: `*` and `?` never cross a slash and `**` is no more
than `*`. A `PatternSet` is moby's patternmatcher: `**` crosses slashes, `!` takes back, the last pattern that matches
wins, and what matches a directory matches all below it. Paths are relative, `/`-separated, without `.` and `..`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, NoReturn

from pyoci.dockerfile.lines import SPACES
from pyoci.dockerfile.paths import clean
from pyoci.errors import DockerfileError
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["PatternSet", "go_match", "has_wildcards", "match_components", "parse_dockerignore", "read_ignore_patterns"]

_SPECIAL = regex(r"[*?\[\]\\^]")


class _Token(NamedTuple):
    kind: Literal["literal", "one", "star", "deep", "class"]
    regex: str
    crosses: bool = False
    """May match a slash."""


def has_wildcards(pattern: str) -> bool:
    """Whether the pattern has an unescaped `*`, `?` or `[`."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", pattern, flags=re.DOTALL)) is not None


@lru_cache(maxsize=256)
def _go_pattern(pattern: str) -> re.Pattern[str]:
    tokens = _tokens(pattern, deep=False)
    return re.compile(_regex(tokens))


def go_match(pattern: str, name: str) -> bool:
    """Whether Go's `filepath.Match` says that the pattern matches the whole name.

    Raises:
        DockerfileError: the pattern is malformed; not located.
    """
    return _go_pattern(pattern).fullmatch(name) is not None


def match_components(parts: Sequence[str], components: Sequence[str]) -> tuple[bool, bool]:
    """Whether a `--parents` pattern, given in parts between slashes, matches a path, and whether it may match below it.

    Raises:
        DockerfileError: the pattern is malformed; not located.
    """
    matched = _pattern("/".join(parts)).matches("/".join(components))
    for index, component in enumerate(components):
        if index < len(parts) and "**" in parts[index]:
            return matched, True
        if index >= len(parts) or not go_match(parts[index], component):
            return matched, False
    return matched, len(components) < len(parts)


def read_ignore_patterns(raw: bytes) -> list[str]:
    """The patterns in the bytes of a `.dockerignore`: no mark, comments or blank lines, cleaned, no slash in front."""
    patterns: list[str] = []
    for line in raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n"):
        pattern = line.strip(SPACES)
        if line.startswith("#") or not pattern:
            continue
        negation = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(negation) :].strip(SPACES)
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(negation + pattern)
    return patterns


def parse_dockerignore(raw: bytes) -> PatternSet:
    """The patterns of a `.dockerignore`.

    Raises:
        DockerfileError: one is malformed; not located.
    """
    return PatternSet(read_ignore_patterns(raw))


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    """Cleaned, without `!`."""
    negated: bool
    matches: Callable[[str], bool]
    fixed: tuple[str, ...]
    """The leading components without any special character."""
    is_fixed: bool
    """There are no others."""

    def may_match_below(self, directory: str) -> bool:
        """Whether a path below the directory can match, as far as the fixed components tell."""
        if self.is_fixed:
            return self.text.startswith(f"{directory}/")
        return all(a == b for a, b in zip(self.fixed, directory.split("/"), strict=False))


class PatternSet:
    """Patterns in order, compiled once. Remembers what it found about directories.

    May be used from one thread at a time.

    Raises:
        DockerfileError: a pattern is malformed; not located.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: list[_Pattern] = []
        for written in patterns:
            text = written.strip(SPACES)
            if not text:
                continue
            text = clean(text)
            if text == "!":
                raise DockerfileError('the pattern "!" takes back nothing', hint="write a path behind it")
            self._patterns.append(_pattern(text.removeprefix("!"), negated=text.startswith("!")))
        self._directories: dict[str, tuple[bool, ...]] = {"": (False,) * len(self._patterns)}

    @property
    def has_negations(self) -> bool:
        """Whether a pattern begins with `!`."""
        return any(pattern.negated for pattern in self._patterns)

    @property
    def excludes_everything(self) -> bool:
        """Whether a pattern alone excludes all of the root's entries."""
        return any(pattern.text in ("*", "**", "**/*") for pattern in self._patterns if not pattern.negated)

    def excluded(self, path: str) -> bool:
        """Whether the path is left out, as a walk from the root decides that: what a pattern says of a directory holds
        below it, until a later pattern says otherwise.
        """
        if not self._patterns:
            return False
        parent = path.rpartition("/")[0]
        return self._found(self._known(parent), path)[0]

    def matches_path_or_parents(self, path: str) -> bool:
        """Whether the path is left out when only it is looked at, each pattern against it and all its parents."""
        parents = [path[:index] for index, character in enumerate(path) if character == "/"]
        excluded = False
        for pattern in self._patterns:
            if pattern.negated == excluded and any(map(pattern.matches, (path, *parents))):
                excluded = not pattern.negated
        return excluded

    def may_reinclude_below(self, directory: str) -> bool:
        """Whether something below an excluded directory may still be taken back; if not, it need not be read."""
        return any(pattern.negated and pattern.may_match_below(directory) for pattern in self._patterns)

    def _known(self, directory: str) -> tuple[bool, ...]:
        """Which patterns match a directory or one above it."""
        known = self._directories.get(directory)
        if known is None:
            known = self._directories[""]
            for end in [i for i, character in enumerate(directory) if character == "/"] + [len(directory)]:
                ancestor = directory[:end]
                if ancestor not in self._directories:
                    self._directories[ancestor] = self._found(known, ancestor)[1]
                known = self._directories[ancestor]
        return known

    def _found(self, above: tuple[bool, ...], path: str) -> tuple[bool, tuple[bool, ...]]:
        """A pattern that would change nothing is not tried, which is why `!a` before `a/b` does not take `a/b` back."""
        excluded = False
        found: list[bool] = []
        for pattern, matched in zip(self._patterns, above, strict=True):
            matches = matched or (pattern.negated == excluded and pattern.matches(path))
            found.append(matches)
            if matches:
                excluded = not pattern.negated
        return excluded, tuple(found)


@lru_cache(maxsize=256)
def _pattern(text: str, *, negated: bool = False) -> _Pattern:
    tokens = _tokens(text, deep=True)
    parts = text.split("/")
    count = next((index for index, part in enumerate(parts) if _SPECIAL.search(part)), len(parts))
    return _Pattern(text, negated, _matcher(text, tokens), tuple(parts[:count]), count == len(parts))


def _matcher(text: str, tokens: list[_Token]) -> Callable[[str], bool]:
    """`a/**` matches by prefix and `**/a` by suffix, `**a` too, which the general rule would not."""
    wild = [index for index, token in enumerate(tokens) if token.kind not in ("literal",)]
    if not wild and "\\" not in text:
        return text.__eq__
    if wild == [0] and tokens[0].kind == "deep" and "\\" not in text:
        suffix = text[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    if wild == [len(tokens) - 1] and tokens[-1].kind == "deep" and "\\" not in text:
        prefix = text[:-2]
        return lambda path: path.startswith(prefix)
    compiled = re.compile(_regex(tokens))
    return lambda path: compiled.fullmatch(path) is not None


def _tokens(pattern: str, *, deep: bool) -> list[_Token]:
    """The pattern cut up, `**` as one token where that has a meaning.

    Raises:
        DockerfileError: a bracket is not closed, a backslash is the last character, or a range runs backwards.
    """
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*" and deep and pattern.startswith("*", position):
            position += 2 if pattern.startswith("/", position + 1) else 1
            tokens.append(_Token("deep", ""))
        elif character == "*":
            if not tokens or tokens[-1].kind != "star":
                tokens.append(_Token("star", ""))
        elif character == "?":
            tokens.append(_Token("one", "[^/]"))
        elif character == "[":
            token, position = _class(pattern, position, lenient=deep)
            tokens.append(token)
        elif character == "\\":
            if position == len(pattern):
                _refuse(pattern)
            tokens.append(_Token("literal", re.escape(pattern[position])))
            position += 1
        else:
            tokens.append(_Token("literal", re.escape(character)))
    return tokens


def _class(pattern: str, position: int, *, lenient: bool) -> tuple[_Token, int]:
    """`[a-z]` or `[^a-z]`, from behind its bracket."""
    negated = pattern.startswith("^", position)
    position += negated
    first = position
    items: list[str] = []
    crosses = negated
    while position == first or not pattern.startswith("]", position):
        low, position = _class_end(pattern, position, lenient=lenient)
        high = low
        if pattern.startswith("-", position) and not (lenient and pattern.startswith("]", position + 1)):
            high, position = _class_end(pattern, position + 1, lenient=lenient)
        if low > high:
            _refuse(pattern)
        crosses = crosses or low <= "/" <= high
        items.append(f"{re.escape(low)}-{re.escape(high)}")
    return _Token("class", f"[{'^' if negated else ''}{''.join(items)}]", crosses), position + 1


def _class_end(pattern: str, position: int, *, lenient: bool) -> tuple[str, int]:
    """One end of a range. A leading `]` and an outer `-` stand for themselves where that is allowed."""
    if pattern.startswith("\\", position):
        position += 1
    elif pattern[position : position + 1] in ("-", "]") and not lenient:
        _refuse(pattern)
    if position + 1 >= len(pattern):
        _refuse(pattern)
    return pattern[position], position + 1


def _refuse(pattern: str) -> NoReturn:
    raise DockerfileError(
        f'the pattern "{pattern}" is malformed', hint="close every [ with ], and write \\\\ for a backslash"
    )


def _regex(tokens: list[_Token]) -> str:
    """A regular expression that needs no more than one look back for each of the last wildcards.

    Where a wildcard is followed by a fixed text and another such wildcard, the first place of that text is as good as
    any later one; the atomic groups say so.
    """
    chunks: list[list[_Token]] = [[]]
    for token in tokens:
        if token.kind == "deep":
            chunks.append([])
        else:
            chunks[-1].append(token)
    parts = [_with_stars(chunks[0])]
    for index, chunk in enumerate(chunks[1:], 1):
        is_last = index == len(chunks) - 1
        body = _with_stars(chunk)
        if is_last and not chunk:
            parts.append(".*")
        elif not is_last and chunk and chunk[-1].regex == "/" and not any(token.crosses for token in chunk):
            parts.append(f"(?>(?:.*?/)??{body})")
        else:
            parts.append(f"(?:.*/)?{body}")
    return "".join(parts)


def _with_stars(chunk: list[_Token]) -> str:
    runs: list[list[_Token]] = [[]]
    for token in chunk:
        if token.kind == "star":
            runs.append([])
        else:
            runs[-1].append(token)
    parts = ["".join(token.regex for token in runs[0])]
    for index, run in enumerate(runs[1:], 1):
        text = "".join(token.regex for token in run)
        is_settled = index < len(runs) - 1 and not any(token.crosses for token in run)
        parts.append(f"(?>[^/]*?{text})" if is_settled else f"[^/]*{text}")
    return "".join(parts)
