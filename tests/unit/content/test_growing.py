"""Reading what is still being written, and what was cut off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyoci.content.growing import GrowingReader
from pyoci.errors import ContentError


def test_a_file_that_is_cut_off_is_an_error_and_no_wait_without_end(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"half")
    with path.open("rb") as file:
        reader = GrowingReader(file.fileno(), 8, lambda: False)
        assert reader.read(8) == b"half"
        with pytest.raises(ContentError, match="cut off while it was read: 4 bytes of it are missing"):
            reader.read(8)


def test_what_was_written_between_the_look_and_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"")

    def ends() -> bool:
        path.write_bytes(b"all of it")
        return False

    with path.open("rb") as file:
        assert GrowingReader(file.fileno(), 9, ends).readall() == b"all of it"


def test_what_is_still_coming_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"")
    asked: list[int] = []

    def goes_on() -> bool:
        asked.append(os.stat(path).st_size)  # noqa: PTH116
        if len(asked) == 3:
            path.write_bytes(b"late")
        return True

    with path.open("rb") as file:
        assert GrowingReader(file.fileno(), 4, goes_on).readall() == b"late"
    assert asked == [0, 0, 0]


def test_why_nothing_more_comes_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"")

    def fails() -> bool:
        raise ContentError("the line broke")

    with path.open("rb") as file, pytest.raises(ContentError, match="the line broke"):
        GrowingReader(file.fileno(), 4, fails).read(4)
