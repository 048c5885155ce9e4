from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.report import BEGIN, END, json_document, markdown, redacted, splice, terminal
from tests.unit.benchmark.reports import job, report, result

PEERS = job(
    result("buildah", 4.0, 6.0, 5.0),
    result("pyoci", 2.0, 1.0, 9.0),
    result("crane", 1.0, 1.0, 1.0, dockerfile=False),
    result("bare", 0.5, 0.5, 0.5, dockerfile=False),
    result("docker", 3.0, failure="no | space\tleft"),
)


def row(text: str, tool: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.strip().startswith(tool))
    return line.split()


def test_a_figure_is_the_median_and_a_ratio_is_to_the_fastest_of_each_kind() -> None:
    figures = PEERS.tools[1].figures
    assert figures is not None
    assert (figures.wall_seconds, figures.fastest_seconds, figures.slowest_seconds) == (2.0, 1.0, 9.0)
    assert PEERS.fastest(builders_only=True) == 5.0  # neither pyoci nor the one that failed
    assert PEERS.fastest(builders_only=False) == 1.0  # crane, and not the bare tools
    assert PEERS.floor() == 0.5


def test_the_terminal_has_a_row_for_each_tool_the_fastest_first() -> None:
    text = terminal(report(PEERS))
    assert row(text, "pyoci  ") == ["pyoci", "2.00", "1.00–9.00", "0.40", "2.00", "4.00", "1.00", "10", "2.5"]
    names = [line.split()[0] for line in text.split("(job)")[1].splitlines() if line]
    assert names == ["tool", "bare", "crane", "pyoci", "buildah", "docker"]


def test_a_failure_is_a_row_with_its_reason() -> None:
    assert "docker" + " " * 17 + "failed: no | space\tleft" in terminal(report(PEERS))
    assert r"| docker | failed: no \| space" in markdown(report(PEERS))


def test_a_missing_tool_is_named_with_the_reason() -> None:
    found = report(PEERS, missing={"ko": "no ko on PATH"})
    assert "ko: not here: no ko on PATH" in terminal(found)
    assert "| ko | not here: no ko on PATH |" in markdown(found)
    assert json_document(found)["missing"] == {"ko": "no ko on PATH"}


def test_no_ratio_where_there_is_nothing_to_compare_with() -> None:
    alone = job(result("pyoci", 1.0))
    assert row(terminal(report(alone)), "pyoci  ")[3:6] == ["–", "–", "–"]


def test_rows_of_markdown_have_as_many_cells_as_the_head() -> None:
    tables = markdown(report(PEERS)).split("### ")[1]
    rows = [line for line in tables.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1
    assert "| **pyoci** | 2.00 |" in tables


def test_json_has_every_run() -> None:
    document = json.loads(json.dumps(json_document(report(PEERS))))
    (found,) = document["jobs"]
    assert found["fastest_builder_seconds"] == 5.0
    pyoci = found["tools"][1]
    assert [run["wall_seconds"] for run in pyoci["runs"]] == [2.0, 1.0, 9.0]
    assert pyoci["median"]["wall_seconds"] == 2.0
    assert found["tools"][4]["median"] is None
    assert document["machine"]["versions"]["buildah"] == "2"


def test_figures_take_the_place_of_the_old_ones_and_leave_the_prose() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = splice(document, "new")
    assert once.startswith(f"before\n{BEGIN}\n") and once.endswith(f"{END}\nafter\n")
    assert "new" in once and "old" not in once
    assert splice(once, "new") == once


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_document_without_marks_is_not_overwritten(document: str) -> None:
    with pytest.raises(ValueError, match="after it"):
        splice(document, "new")


def test_a_reason_names_neither_directories_nor_the_port() -> None:
    text = redacted("open /a/b/c: refused by 127.0.0.1:4711/x", [Path("/a/b")], "127.0.0.1:4711")
    assert text == "open …/c: refused by registry/x"
