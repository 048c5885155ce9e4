"""Lists in pages: `n`, `last` and the `Link` to the next page. Spec: distribution-spec, "Listing Tags"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode

from pyoci.serve.refusals import Refused
from pyoci.values import dataclass

__all__ = ["Page", "next_link", "page_of"]

_PAGE_LIMIT = 10_000
"""Entries of one page at most, so that no answer grows without bound."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries of a sorted list."""

    entries: Sequence[str]
    link: str
    """Value of the `Link` header; empty on the last page."""


def page_of(names: Iterable[str], path: str, query: Mapping[str, str]) -> Page:
    """The entries behind `last`, at most `n`, in ASCII order; `path` is what the list was asked for by.

    Raises:
        Refused: `n` is no number.
    """
    wanted = query.get("n")
    if wanted is not None and not (wanted.isascii() and wanted.isdigit()):
        raise Refused(400, "UNSUPPORTED", f'n is "{wanted[:40]}", not a number of entries')
    count = min(int(wanted[:9]), _PAGE_LIMIT) if wanted is not None else _PAGE_LIMIT
    last = query.get("last", "")
    rest = sorted(name for name in names if name > last)
    entries = rest[:count]
    more = len(rest) > count and count > 0
    return Page(entries, next_link(path, {"n": str(count), "last": entries[-1]}) if more else "")


def next_link(path: str, query: Mapping[str, str]) -> str:
    """The `Link` header that leads to the next page."""
    return f'<{quote(path)}?{urlencode(query)}>; rel="next"'
