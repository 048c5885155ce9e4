"""The page is one file that nothing in an image can break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from pyoci.image import History, ImageConfig
from pyoci.inspection.treemap import treemap_html
from tests.builders import AMD64
from tests.unit.inspection.seen import sizes_of

HOSTILE = {
    "a</script><script>alert(1)</script>": b"1",
    "b<img src=x onerror=alert(1)>": b"22",
    "c\x1b[31m\n\u2028\u202e": b"333",
    "d\udcff\udcfe": b"4444",
    "e\"&'<!--": b"55555",
}


class Elements(HTMLParser):
    """Which elements a page has, and what is in its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.contents.setdefault(self._inside, []).append(data)


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(page).contents["script"][0])
    return found


def test_hostile_names_stay_text() -> None:
    config = ImageConfig(AMD64, history=(History(created_by="RUN echo '</script><b>'"),))
    page = treemap_html(sizes_of(HOSTILE, name='<b>&"app', config=config))
    page.encode()  # no lone surrogates
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not {"img", "b"} & {tag for tag, _ in elements.found}
    assert elements.contents["title"] == ['<b>&"app: size']
    found = data_of(page)
    assert sorted(child[0] for child in found["root"][3]) == [
        "a<",
        "b<img src=x onerror=alert(1)>",
        "c\\x1b[31m\\n\\u2028\\u202e",
        "d\\xff\\xfe",
        "e\"&'<!--",
    ]


def test_nothing_is_fetched_and_only_the_page_s_own_script_runs() -> None:
    elements = Elements(treemap_html(sizes_of({"a": b"1"})))
    (policy,) = (attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    hashes = re.findall(r"(style|script)-src '(sha256-[^']+)'", policy)
    for kind, text in (("style", elements.contents["style"][0]), ("script", elements.contents["script"][-1])):
        judged = "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert (kind, judged) in hashes
    for tag, attrs in elements.found:
        assert not {"src", "href", "action", "data"} & attrs.keys(), tag
        assert not [name for name in attrs if name.startswith("on")]
        assert "style" not in attrs


def test_directories_hold_their_files_the_largest_first_with_the_layer_of_most_bytes() -> None:
    page = treemap_html(sizes_of({"d/small": b"1", "top": b"12"}, {"d/e/big": b"12345", "empty/none": b""}))
    assert data_of(page)["root"] == [
        "",
        8,
        1,
        [["d", 6, 1, [["e", 5, 1, [["big", 5, 1]]], ["small", 1, 0]]], ["top", 2, 0]],
    ]


def test_a_very_deep_image_is_shown_as_far_as_readers_go() -> None:
    deep = "/".join(["d"] * 1500)
    page = treemap_html(sizes_of({f"{deep}/file": b"12"}))
    node, depth = data_of(page)["root"], 0
    while len(node) > 3:
        (node,) = node[3]
        depth += 1
    assert node[1:] == [2, 0]
    assert depth == 101
    assert node[0].endswith("d/file")


def test_many_files_share_cells(monkeypatch: Any) -> None:
    monkeypatch.setattr("pyoci.inspection.treemap._MOST_FILES", 1)
    page = treemap_html(sizes_of({"d/a": b"1", "d/b": b"22", "d/c": b"333"}))
    assert data_of(page)["root"][3] == [["d", 6, 0, [["(2 smaller files)", 3, 0], ["c", 3, 0]]]]
