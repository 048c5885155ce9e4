"""`Accept` as clients write it, and pages of lists."""

from __future__ import annotations

import pytest

from pyoci.image import media_types
from pyoci.serve.negotiation import accepts, matches_etag
from pyoci.serve.paging import page_of
from pyoci.serve.refusals import Refused
from tests.unit.serve.world import digest_as

MANIFEST = media_types.MANIFEST


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ([], True),
        ([""], True),
        (["*/*"], True),
        (["application/*"], True),
        ([MANIFEST], True),
        ([MANIFEST.upper()], True),
        ([f"{media_types.INDEX}, {MANIFEST};q=0.5"], True),
        ([media_types.INDEX, MANIFEST], True),
        ([media_types.INDEX], False),
        (["text/html, application/json"], False),
        ([f"{MANIFEST};q=0"], False),
        ([f"{MANIFEST};q=0.0, */*"], False),
        ([f"*/*;q=0, {MANIFEST}"], True),
        (["image/*"], False),
        ([";;;,,,;q"], False),
    ],
)
def test_what_a_client_accepts(headers: list[str], accepted: bool) -> None:
    assert accepts(headers, MANIFEST) is accepted


def test_what_a_client_has() -> None:
    digest = digest_as(b"x")
    assert matches_etag(f'"{digest}"', digest)
    assert matches_etag(f'"other", W/"{digest}"', digest)
    assert matches_etag("*", digest)
    assert not matches_etag("", digest)
    assert not matches_etag(digest, digest)


TAGS = ["v1", "v10", "V2", "v2", "latest", "_"]
SORTED = ["V2", "_", "latest", "v1", "v10", "v2"]


def test_a_list_comes_in_pages_that_lead_to_each_other() -> None:
    seen: list[str] = []
    query = {"n": "4"}
    page = page_of(TAGS, "/v2/app/tags/list", query)
    seen += page.entries
    assert page.link == '</v2/app/tags/list?n=4&last=v1>; rel="next"'
    page = page_of(TAGS, "/v2/app/tags/list", {"n": "4", "last": "v1"})
    seen += page.entries
    assert page.link == ""
    assert seen == SORTED


def test_a_page_may_be_whole_or_empty() -> None:
    assert page_of(TAGS, "/", {}).entries == SORTED
    assert page_of(TAGS, "/", {"n": "6"}).link == ""
    assert page_of(TAGS, "/", {"n": "0"}) == page_of([], "/", {})
    assert page_of(TAGS, "/", {"last": "latest"}).entries == ["v1", "v10", "v2"]
    assert page_of(TAGS, "/", {"last": "lb"}).entries == ["v1", "v10", "v2"]  # need not be an entry
    assert page_of(TAGS, "/", {"n": "9" * 50}).entries == SORTED


@pytest.mark.parametrize("nonsense", ["-1", "x", "", "1.5", "٣"])
def test_a_page_of_no_number_is_refused(nonsense: str) -> None:
    with pytest.raises(Refused):
        page_of(TAGS, "/", {"n": nonsense})


def test_no_page_is_endless() -> None:
    page = page_of((f"t{number}" for number in range(10_001)), "/", {})
    assert len(page.entries) == 10_000
    assert page.link
