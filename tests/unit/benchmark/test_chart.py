from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from benchmark.chart import LETTER, MARGIN, OUR_BAR, SIZE, WIDTH, svg
from tests.unit.benchmark.reports import job, report, result

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*titles: str) -> ElementTree.Element:
    tools = (result("pyoci", 1.0), result("buildah", 4.0), result("docker", failure="no <room> & " * 40))
    return ElementTree.fromstring(svg(report(*(job(*tools, title=title) for title in titles))))


def test_nothing_is_outside_of_the_picture() -> None:
    picture = drawn("a title " * 40, "another")
    height = float(picture.attrib["height"])
    assert picture.attrib["viewBox"] == f"0 0 {WIDTH} {picture.attrib['height']}"
    for text in picture.iter(f"{SVG}text"):
        room = len(text.text or "") * SIZE * LETTER
        x = float(text.attrib["x"])
        left = x - room if text.attrib["text-anchor"] == "end" else x
        assert left >= 0 and left + room <= WIDTH, text.text
        assert SIZE <= float(text.attrib["y"]) <= height - 4
    for bar in picture.iter(f"{SVG}rect"):
        assert float(bar.attrib.get("x", 0)) + float(bar.attrib["width"]) <= WIDTH
        assert float(bar.attrib.get("y", 0)) + float(bar.attrib["height"]) <= height


def test_rows_of_text_do_not_overlap() -> None:
    picture = drawn("a title " * 40, "another")
    rows = sorted({float(text.attrib["y"]) for text in picture.iter(f"{SVG}text")})
    assert min(after - before for before, after in pairwise(rows)) >= SIZE


def test_bars_are_as_long_as_the_times_and_ours_stands_out() -> None:
    paper, ours, peer = drawn("a job").iter(f"{SVG}rect")
    assert paper.attrib["width"] == str(WIDTH)
    assert ours.attrib["fill"] == OUR_BAR != peer.attrib["fill"]
    assert float(peer.attrib["width"]) / float(ours.attrib["width"]) == pytest.approx(4.0, abs=0.01)
    assert float(ours.attrib["x"]) > MARGIN


def test_a_job_that_nobody_did_is_drawn_without_bars() -> None:
    picture = ElementTree.fromstring(svg(report(job(result("pyoci", failure="no space")))))
    assert "failed: no space" in [text.text for text in picture.iter(f"{SVG}text")]
