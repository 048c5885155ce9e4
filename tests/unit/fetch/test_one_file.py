"""A tree with one file."""

from __future__ import annotations

import io
from pathlib import Path

from pyoci.digest import sha256_digest
from pyoci.fetch.one_file import OneFile
from pyoci.layer.entry import Entry, LayerPath

ENTRY = Entry(LayerPath("f"), "file", mode=0o600, size=3, mtime=7)
FILES = OneFile(ENTRY, sha256_digest(b"abc"), lambda: io.BytesIO(b"abc"))


def test_there_is_a_root_and_the_file() -> None:
    root = FILES.lookup_nofollow("")
    assert root is not None
    assert (root.type, root.mode) == ("dir", 0o755)
    assert FILES.lookup_nofollow("f") == ENTRY
    assert FILES.lookup_nofollow("g") is None
    assert list(FILES.children("")) == [ENTRY]
    assert not FILES.children("f")


def test_paths_stay_inside() -> None:
    assert [FILES.resolve(path) for path in ("f", "/f", "./f", "../f", "a/../f", ".")] == ["f"] * 5 + [""]


def test_its_bytes_are_opened_as_often_as_wanted(tmp_path: Path) -> None:
    assert FILES.digest_of(ENTRY) == sha256_digest(b"abc")
    with FILES.one_pass([ENTRY], tmp_path) as open_content:
        for _ in range(2):
            stream = open_content(ENTRY)
            assert not isinstance(stream, int)
            assert stream.read() == b"abc"
