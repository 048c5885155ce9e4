"""What whiteout names mean. Spec: image-spec layer.md#whiteouts; docker for what AUFS left behind."""

from __future__ import annotations

import pytest

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.whiteout import interpret, marker_path, refuse_marker_name

P = LayerPath


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (".wh.a", Remove(P("a"))),
        ("etc/.wh.motd", Remove(P("etc/motd"))),
        ("etc/.wh..hidden", Remove(P("etc/.hidden"))),
        ("etc/.wh....", Remove(P("etc/..."))),
        ("etc/.wh..wh.x", Remove(P("etc/.wh.x"))),
        (".wh..wh..opq", Opaque(P(""))),
        ("var/lib/.wh..wh..opq", Opaque(P("var/lib"))),
        (".wh..wh.aufs", None),
        (".wh..wh.orph/x", None),
        (".wh..wh.plnk", None),
    ],
)
def test_meanings(name: str, change: Change | None) -> None:
    assert interpret(Entry(P(name), "file")) == change


@pytest.mark.parametrize("name", ["etc/passwd", "a.wh.b", "x/wh.y", ".wh"])
def test_other_names_are_files(name: str) -> None:
    change = interpret(Entry(P(name), "file"))
    assert change is not None
    assert not isinstance(change, Remove | Opaque)


def test_a_whiteout_may_be_a_hard_link() -> None:
    """AUFS links them all together."""
    assert interpret(Entry(P(".wh.a"), "hardlink", link=".wh..wh.aufs")) == Remove(P("a"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry(P(".wh."), "file"), '".wh." names nothing'),
        (Entry(P("a/.wh."), "file"), '"a/.wh." names nothing'),
        (Entry(P("a/.wh.."), "file"), "names nothing"),
        (Entry(P("a/.wh..."), "file"), "names nothing"),
        (Entry(P(".wh.d"), "dir"), 'the whiteout ".wh.d" is a directory'),
        (Entry(P(".wh.d/x"), "file"), '".wh.d/x" lies below a whiteout'),
        (Entry(P("a/.wh.d/x/y"), "file"), "lies below a whiteout"),
        (Entry(P("a/.wh.d/.wh.x"), "file"), "lies below a whiteout"),
    ],
)
def test_whiteouts_that_make_no_sense(entry: Entry, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        interpret(entry)
    assert message in caught.value.message


def test_the_link_store_is_kept_for_its_links() -> None:
    stored = Entry(P(".wh..wh.plnk/12.34"), "file")
    assert interpret(stored) == Upsert(stored)
    assert interpret(Entry(P(".wh..wh.plnked"), "file")) is None
    assert interpret(Entry(stored.path, "symlink", link="/")) is None


@pytest.mark.parametrize("change", [Remove(P("a")), Remove(P("a/b")), Opaque(P("")), Opaque(P("a/b"))])
def test_markers_mean_what_they_are_written_for(change: Remove | Opaque) -> None:
    assert interpret(Entry(marker_path(change), "file")) == change


def test_the_root_cannot_be_removed() -> None:
    with pytest.raises(LayerError, match="root directory cannot be removed"):
        marker_path(Remove(P("")))


@pytest.mark.parametrize("name", [".wh.a", "b/.wh.a", "b/.wh.a/c", ".wh..wh..opq"])
def test_files_with_such_names_cannot_be_stored(name: str) -> None:
    with pytest.raises(LayerError, match="cannot be stored in a layer"):
        refuse_marker_name(P(name))
    refuse_marker_name(P("a.wh.b"))
