"""What a client accepts, and what it has already. RFC 9110, sections 12.5.1 and 13.1.2."""

from __future__ import annotations

from collections.abc import Iterable

from pyoci.digest import Digest

__all__ = ["accepts", "matches_etag"]


def accepts(headers: Iterable[str], media_type: str) -> bool:
    """Whether the `Accept` headers of a request name the media type; without any, every type is accepted.

    What names it most closely counts: `*/*;q=0` takes nothing away from a type that is named in full.
    """
    entries = [entry for header in headers for entry in header.split(",") if entry.strip()]
    best: tuple[int, bool] = (-1, not entries)
    for entry in entries:
        pattern, *parameters = (part.strip().lower() for part in entry.split(";"))
        family = media_type.partition("/")[0]
        closeness = {media_type.lower(): 2, f"{family}/*": 1, "*/*": 0, "*": 0}.get(pattern, -1)
        wanted = not any(_is_zero(parameter) for parameter in parameters)
        if closeness >= 0 and (closeness, wanted) > best:
            best = (closeness, wanted)
    return best[1]


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", "0.", ".")


def matches_etag(header: str, digest: Digest) -> bool:
    """Whether `If-None-Match` or `If-Range` names the content, whose entity tag is its digest."""
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return any(tag in ("*", f'"{digest}"') for tag in tags)
