"""Stores are emptied for the next round without a deletion that would be measured."""

from __future__ import annotations

from pathlib import Path

from benchmark.main import clear_attic
from benchmark.tools import MANY_FILES, files_below, set_aside


def filled(directory: Path, count: int) -> Path:
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / str(number)).touch()
    return directory


def test_many_files_are_moved_and_few_are_deleted(tmp_path: Path) -> None:
    place, attic = tmp_path / "place", tmp_path / "attic"
    for _ in range(2):
        filled(place / "many", MANY_FILES)
        filled(place / "few", 3)
        (place / "link").symlink_to(tmp_path)
        set_aside(place, attic)
        assert list(place.iterdir()) == []
    assert sorted(path.name for path in attic.iterdir()) == ["0", "1"]
    assert files_below(attic, at_most=10**6) == 2 * MANY_FILES + 2


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    set_aside(tmp_path / "none", tmp_path / "attic")
    assert not clear_attic(tmp_path / "attic")
    assert list(tmp_path.iterdir()) == []


def test_it_is_told_whether_many_files_were_deleted(tmp_path: Path) -> None:
    filled(tmp_path / "attic/0", 3)
    assert not clear_attic(tmp_path / "attic")
    filled(tmp_path / "attic/0", MANY_FILES)
    assert clear_attic(tmp_path / "attic")
    assert list(tmp_path.iterdir()) == []
