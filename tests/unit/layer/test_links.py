"""Names that lead through symbolic links of the same layer, with the paths that containerd unpacks to."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.links import OwnLinks
from tests.unit.layer.tars import END, member, tar_of

POLICIES = pytest.mark.parametrize(
    "policy", [ApplyPolicy("overlay-user", "record", "record"), ApplyPolicy("merge", "record", "record")], ids=str
)


LONG = "/".join(["b" * 250] * 9)


def link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.LNKTYPE, linkname=target)


def folder(name: str) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE)


def changes_of(data: bytes) -> list[Change]:
    return list(index_layer(io.BytesIO(data), "none", diff_id=None).changes)


def unpacked(data: bytes, root: Path, policy: ApplyPolicy) -> list[str]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        apply_layer(io.BytesIO(data), descriptor, policy=policy)
    finally:
        os.close(descriptor)
    found = [path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(root).as_posix() for path in found)


CASES: dict[str, tuple[list[tarfile.TarInfo], list[str]]] = {
    "relative": ([link("bin", "usr/bin"), member("bin/x")], ["bin", "usr/bin/x"]),
    "absolute": ([link("bin", "/usr/bin"), member("bin/x")], ["bin", "usr/bin/x"]),
    "in a directory": ([link("a/b", "../c"), member("a/b/x")], ["a/b", "c/x"]),
    "through a link": ([link("a", "b"), link("b", "c/d"), member("a/x")], ["a", "b", "c/d/x"]),
    "dots": ([link("a", "b/../c/."), member("a/x")], ["a", "c/x"]),
    "above the root": ([link("a", "../../.."), member("a/x")], ["a", "x"]),
    "to the root": ([link("a", "/"), member("a/x")], ["a", "x"]),
    "link behind what it hides": ([member("d/x"), link("a", "d"), member("a/y")], ["a", "d/x", "d/y"]),
    "last component stays": ([folder("d"), link("a", "d"), member("a")], ["a"]),
    "directory replaces the link": ([link("a", "d"), folder("a"), member("a/x")], ["a/x"]),
    "file replaced the link": ([link("a", "d"), member("a"), folder("a"), member("a/x")], ["a/x"]),
    "link went with its directory": ([link("d/l", "/e"), member("d"), folder("d"), member("d/l/x")], ["d/l/x"]),
    "link moved": ([link("a", "b"), member("a/x"), link("a", "c"), member("a/y")], ["a", "b/x", "c/y"]),
    "link comes later": ([member("a/x"), link("b", "a"), member("b/y")], ["a/x", "a/y", "b"]),
    "hard link to what is behind": ([member("d/x"), link("a", "d"), hard("h", "a/x")], ["a", "d/x", "h"]),
    "hard link behind": ([member("x"), link("a", "d"), hard("a/h", "x")], ["a", "d/h", "x"]),
    "hard link to a link": ([link("a", "d"), hard("b", "a"), member("b/x")], ["a", "b", "d/x"]),
}


@POLICIES
@pytest.mark.parametrize(("members", "expected"), CASES.values(), ids=CASES)
def test_names_lead_through_links_of_the_layer(
    members: list[tarfile.TarInfo], expected: list[str], policy: ApplyPolicy, tmp_path: Path
) -> None:
    data = tar_of(*members)
    assert unpacked(data, tmp_path, policy) == expected
    paths = [
        change.entry.path for change in changes_of(data) if isinstance(change, Upsert) and change.entry.type != "dir"
    ]
    assert sorted(paths) == expected


@POLICIES
def test_a_link_of_a_layer_below_is_replaced(policy: ApplyPolicy, tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("usr")
    assert unpacked(tar_of(member("bin/x")), tmp_path, policy) == ["bin/x"]


def test_whiteouts_lead_through_them_too() -> None:
    data = tar_of(link("a", "d/e"), member("a/.wh.x"), member("a/.wh..wh..opq"))
    changes = [change for change in changes_of(data) if not isinstance(change, Upsert)]
    assert changes == [Opaque(LayerPath("d/e")), Remove(LayerPath("d/e/x"))]


@POLICIES
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([link("a", "a"), member("a/x")], '"a" leads through more than 255 symbolic links'),
        ([link("a", "b"), link("b", "a/c"), member("b/x")], '"b" leads through more than 255 symbolic links'),
        ([link("a", ".wh.b"), member("a/x")], '".wh.b" cannot be stored in a layer'),
        ([link("a", LONG), link(f"{LONG}/c", LONG), member("a/c/x")], "4096 bytes"),
    ],
    ids=["itself", "circle", "whiteout", "long"],
)
def test_links_that_lead_nowhere(
    members: list[tarfile.TarInfo], message: str, policy: ApplyPolicy, tmp_path: Path
) -> None:
    data = tar_of(*members) + END
    with pytest.raises(LayerError, match=message):
        unpacked(data, tmp_path, policy)
    with pytest.raises(LayerError, match=message):
        changes_of(data)


def test_what_replaces_directories_with_links_takes_no_look_at_all_links() -> None:
    """A hundred thousand links, each of whose directories a file replaces: with a look at all of them, minutes."""
    links = OwnLinks()
    for number in range(100_000):
        links.followed(Upsert(Entry(LayerPath(f"d{number}/l"), "symlink", link="x")))
    for number in range(100_000):
        links.followed(Upsert(Entry(LayerPath(f"d{number}"), "file")))
    assert links.followed(Remove(LayerPath("d1/l/x"))) == Remove(LayerPath("d1/l/x"))


def test_links_that_lead_too_far_for_a_whole_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.layer.links._STEP_LIMIT", 10_000)
    links = OwnLinks()
    links.followed(Upsert(Entry(LayerPath("a"), "symlink", link="b/../" * 50 + "c")))
    with pytest.raises(LayerError, match=r'^symbolic links of the layer lead too far: at "a"$'):
        for number in range(1_000):
            links.followed(Upsert(Entry(LayerPath(f"a/{number}"), "file")))
