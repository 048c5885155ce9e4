"""The tables of what is there say what the tests know, name everything, and are what stands in the documents."""

from __future__ import annotations

import pytest

from tests.architecture.source import ROOT
from tests.support import DOCKER_FLAGS, LANGUAGE, OWN_FLAGS, Row, flags_of_build, is_test, known_language, recorded
from tests.support_table import written

ROWS = (*LANGUAGE, *DOCKER_FLAGS)


def test_the_documents_hold_what_the_script_writes() -> None:
    for path, text in written(ROOT).items():
        assert path.read_text() == text, f"run script/support-table: {path.name} is behind the tests"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_row_has_a_proof(row: Row) -> None:
    assert [test for test in row.tests if not is_test(test)] == []
    assert row.tests or recorded(row), "no test and no recorded build says anything of it"
    assert bool(row.note) == (row.level != "yes"), "◐ and ✗ say why, ✓ needs no word"


def test_everything_that_the_parser_knows_has_a_row() -> None:
    assert known_language() <= {row.name for row in LANGUAGE}


def test_every_flag_of_the_command_has_a_row() -> None:
    assert flags_of_build() == {row.name for row in DOCKER_FLAGS} | OWN_FLAGS


def test_no_row_stands_twice() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_proof_that_is_gone_is_noticed() -> None:
    assert not is_test("unit/test_support_table.py::test_of_nothing")
    assert not is_test("unit/test_nothing.py::test_of_nothing")
    assert not is_test("support.py::is_test")
    assert recorded(Row("COPY --nothing")) == ()
