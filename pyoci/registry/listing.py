"""Lists that a registry gives page by page. Spec: distribution-spec, "Listing Tags", "Listing Referrers" (RFC 8288
`Link`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pyoci.errors import InvalidDocument, RegistryError
from pyoci.regex import regex
from pyoci.registry.exchange import Exchange
from pyoci.registry.failure import one_line
from pyoci.registry.hosts import Endpoint
from pyoci.registry.transport import Answer
from pyoci.registry.urls import followed, public_url, split_web_url

__all__ = ["list_tags", "pages"]

_LINK = regex(r'<([^<>]*)>\s*((?:;\s*[^;,"]+(?:"[^"]*")?\s*)*)')
_NEXT = regex(r'rel\s*=\s*"?next"?(?:\s|;|$)', re.IGNORECASE)
_PAGE_ENTRIES = 1000
_PAGE_LIMIT = 10_000


def list_tags(exchange: Exchange) -> Iterator[str]:
    """The repository's tags in the registry's order, read as they are asked for.

    Raises:
        ContentNotFound: no such repository. RegistryError, InvalidDocument: the answer cannot be used.
    """
    purpose = f"list the tags of {exchange.reference.familiar_name}"
    for raw, _ in pages(exchange, f"tags/list?n={_PAGE_ENTRIES}", purpose):
        yield from _tags_in(raw, purpose)


def pages(
    exchange: Exchange, path: str, purpose: str, expect: frozenset[int] = frozenset({200})
) -> Iterator[tuple[bytes, Answer]]:
    """The pages of a list, each at most as long as a document may be.

    A `Link` is followed on the same endpoint only, and only below the list's own path: its host and scheme are left
    out of account, since registries behind proxies are often wrong about them.
    """

    def first_page(endpoint: Endpoint) -> tuple[Endpoint, bytes, Answer]:
        return (endpoint, *exchange.read_small(exchange.request("GET", endpoint, path, purpose, expect)))

    endpoint, raw, answer = exchange.first(first_page)
    base = f"/v2/{endpoint.repository}/"
    seen: set[str] = set()
    while True:
        yield raw, answer
        following = _next_page(answer, base + path.partition("?")[0])
        if following is None:
            return
        if following in seen or len(seen) >= _PAGE_LIMIT:
            raise RegistryError(f"cannot {purpose}: {endpoint.registry} lists the same page twice")
        seen.add(following)
        request = exchange.request("GET", endpoint, following.removeprefix(base), purpose, expect)
        raw, answer = exchange.read_small(request)


def _next_page(answer: Answer, path: str) -> str | None:
    for match in _LINK.finditer(answer.header("Link")):
        if _NEXT.search(match[2]):
            parts = split_web_url(followed(answer.url, match[1]) or "")
            if parts is None or parts.path != path:
                raise RegistryError(f"the next page of {path} is said to be {one_line(public_url(match[1]), 100)}")
            return f"{parts.path}?{parts.query}" if parts.query else parts.path
    return None


def _tags_in(raw: bytes, purpose: str) -> list[str]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    tags = document.get("tags") if isinstance(document, dict) else ...
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidDocument(f"cannot {purpose}: the answer is not a list of tags")
    return [one_line(tag, 128) for tag in tags]
