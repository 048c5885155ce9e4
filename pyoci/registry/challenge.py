"""`WWW-Authenticate`: what a server wants to see before it answers.

Spec: RFC 9110 section 11.6.1 (before it RFC 7235 section 4.1): a comma-separated list of challenges, each of which
may hold a comma-separated list of parameters. The Bearer parameters are those of distribution's token specification.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["Challenge", "parse_challenges"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = regex(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s*(?=,|$)', re.DOTALL)
_SCHEME = regex(rf"\s*({_TOKEN})(?=\s|,|$)")
_TOKEN68 = regex(r"\s+([A-Za-z0-9\-._~+/]+=*)\s*(?=,|$)")
_SEPARATOR = regex(r"[\s,]*")
_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that the server offers."""

    scheme: str
    """In lower case: `basic`, `bearer`."""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names in lower case; of a name that occurs twice the first counts."""


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in a header's value (several headers joined by commas), in order.

    Never raises: what cannot be read ends the list, and what came before it still counts.
    """
    text = header[:_LIMIT]
    found: list[Challenge] = []
    at = _SEPARATOR.match(text).end()  # type: ignore[union-attr]  # matches the empty string too
    while at < len(text):
        scheme = _SCHEME.match(text, at)
        if scheme is None or scheme.end() == at:
            break
        at = scheme.end()
        parameters: dict[str, str] = {}
        token68 = _TOKEN68.match(text, at)
        at = token68.end() if token68 is not None else _parameters(text, at, parameters)
        found.append(Challenge(scheme[1].lower(), parameters))
        at = _SEPARATOR.match(text, at).end()  # type: ignore[union-attr]  # as above
    return tuple(found)


def _parameters(text: str, at: int, into: dict[str, str]) -> int:
    """Reads `name=value` pairs from `at` on; the place where the next challenge or the end is."""
    while True:
        pair = _PARAMETER.match(text, at)
        if pair is None:
            return at
        quoted = pair[2]
        value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else pair[3]
        into.setdefault(pair[1].lower(), value)
        at = _SEPARATOR.match(text, pair.end()).end()  # type: ignore[union-attr]  # matches the empty string too
