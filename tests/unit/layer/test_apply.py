"""Unpacking on a real directory, as any user: overlay's form, merging, recorded owners and devices, what is skipped."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.apply import Applied, ApplyPolicy, apply_layer
from pyoci.layer.attributes import Skipped
from pyoci.layer.directories import remove_tree
from pyoci.layer.entry import Entry, LayerPath, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.recorded import DEVICE_XATTR, OWNER_XATTR, decode_device, decode_owner
from tests.builders import Item, device, directory, fifo, file, hardlink, make_layer, opaque, removed, symlink
from tests.unit.layer.tars import END, member, tar_of
from tests.unit.layer.test_directories import scarce
from tests.unit.layer.test_sparse import CONTENT, REGIONS, SIZE, STORED, pax_10

P = LayerPath
OVERLAY = ApplyPolicy("overlay-user", "record", "record")
MERGE = ApplyPolicy("merge", "record", "record")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "root"
    path.mkdir()
    yield path
    for directory_path in [path, *(found for found in path.rglob("*") if found.is_dir() and not found.is_symlink())]:
        directory_path.chmod(0o700)


def apply_tar(data: bytes, root: Path, policy: ApplyPolicy = OVERLAY) -> Applied:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return apply_layer(io.BytesIO(data), descriptor, policy=policy)
    finally:
        os.close(descriptor)


def apply(items: Mapping[str, Item], root: Path, policy: ApplyPolicy = OVERLAY) -> Applied:
    return apply_tar(make_layer(items, parents=False).tar, root, policy)


def listing(root: Path) -> dict[str, str]:
    """Every path with what it is."""
    result: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            result[name] = f"-> {path.readlink()}"
        elif stat.S_ISREG(status.st_mode):
            result[name] = path.read_text()
        elif stat.S_ISDIR(status.st_mode):
            result[name] = "dir" + ("!" if is_opaque(path) else "")
        elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            result[name] = "whiteout"
        else:
            result[name] = stat.filemode(status.st_mode)[0]
    return result


def is_opaque(path: Path) -> bool:
    return "user.overlay.opaque" in os.listxattr(path) and os.getxattr(path, "user.overlay.opaque") == b"y"


def owner(path: Path) -> tuple[int, int]:
    return decode_owner(os.getxattr(path, OWNER_XATTR))


def test_files_directories_links_and_pipes(root: Path) -> None:
    applied = apply(
        {
            "d": directory(mode=0o1775, mtime=1000),
            "d/f": file(b"content", mode=0o4750, mtime=2000),
            "d/big": bytes(3_000_000),
            "d/l": symlink("/etc/passwd", mtime=3000),
            "d/h": hardlink("d/f"),
            "p": fifo(mode=0o622),
            "x/y/z": b"deep",
        },
        root,
    )
    assert (root / "d/f").read_bytes() == b"content"
    assert (root / "d/big").stat().st_size == 3_000_000
    assert (root / "d/l").readlink() == Path("/etc/passwd")
    assert (root / "d/h").samefile(root / "d/f")
    modes = {name: stat.S_IMODE((root / name).lstat().st_mode) for name in ("d", "d/f", "p", "x", "x/y")}
    assert modes == {"d": 0o1775, "d/f": 0o4750, "p": 0o622, "x": 0o755, "x/y": 0o755}
    times = {name: (root / name).lstat().st_mtime_ns for name in ("d", "d/f", "d/l", "x", "p", "")}
    billion = 10**9
    assert times == {"d": 1000 * billion, "d/f": 2000 * billion, "d/l": 3000 * billion, "x": 0, "p": 0, "": 0}
    assert (applied.entries, applied.owners, applied.skipped, applied.opaque_root) == (7, {}, (), False)


@pytest.mark.parametrize("policy", [OVERLAY, MERGE])
def test_a_hard_link_describes_the_file_again(policy: ApplyPolicy, root: Path) -> None:
    """As in containerd: owner, mode and time of the last entry; attributes add up; an owner ends capabilities."""
    capability = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4" + "\0" * 14, "SCHILY.xattr.user.a": "1"}
    data = tar_of(
        (member("f", mode=0o600, uid=7, mtime=5, pax_headers=capability), b"x"),
        member("h", b"1", linkname="f", mode=0o4711, uid=9, mtime=6, pax_headers={"SCHILY.xattr.user.b": "2"}),
        member("g", b"1", linkname="h", mode=0o4711, mtime=6),
        member("s", b"2", linkname="f", uid=7),
        member("t", b"1", linkname="s", uid=8, mtime=6, mode=0o600),
    )
    applied = apply_tar(data, root, policy)
    status = (root / "f").stat()
    assert (stat.S_IMODE(status.st_mode), owner(root / "f"), status.st_mtime) == (0o4711, (0, 0), 6)
    attributes = {name: os.getxattr(root / "f", name) for name in os.listxattr(root / "f") if name != OWNER_XATTR}
    assert attributes == {"user.a": b"1", "user.b": b"2"}
    assert (applied.owners, (root / "s").lstat().st_mtime) == ({"s": (8, 0), "t": (8, 0)}, 6)
    changes = index_layer(io.BytesIO(data), "none", diff_id=None).changes
    entries = [change.entry for change in changes if isinstance(change, Upsert)]
    known = {"user.a": b"1", "user.b": b"2"}
    assert entries == [
        Entry(LayerPath("f"), "file", 0o4711, 0, 0, 1, 6, xattrs=known),
        Entry(LayerPath("g"), "hardlink", 0o4711, 0, 0, 0, 6, "f", xattrs=known),
        Entry(LayerPath("h"), "hardlink", 0o4711, 0, 0, 0, 6, "f", xattrs=known),
        Entry(LayerPath("s"), "symlink", 0o644, 8, 0, 0, 6, "f"),
        Entry(LayerPath("t"), "hardlink", 0o644, 8, 0, 0, 6, "s"),
    ]


@pytest.mark.parametrize("policy", [OVERLAY, MERGE])
def test_the_root_entry_says_nothing_of_the_root(policy: ApplyPolicy, root: Path) -> None:
    """As in containerd: the root is 0755, whatever the directory was that somebody made a tar of."""
    apply({"": directory(mode=0o711, mtime=77), "f": b""}, root, policy)
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_a_directory_without_rights_does_not_stop_what_is_in_it(root: Path) -> None:
    apply_tar(
        tar_of(
            member("d", b"5", mode=0), member("d/e", b"5", mode=0o100), (member("d/e/f", mode=0), b"x"), member("d/g")
        ),
        root,
    )
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0
    (root / "d").chmod(0o700)
    assert stat.S_IMODE((root / "d/e").stat().st_mode) == 0o100
    assert stat.S_IMODE((root / "d/e/f").stat().st_mode) == 0


def test_implied_directories_are_what_is_known_of_them(root: Path) -> None:
    implied = {P("a"): Entry(P("a"), "dir", 0o750, 7, 8, mtime=9), P(""): Entry(P(""), "dir", 0o711)}
    apply({"a/b/c": b""}, root, ApplyPolicy("overlay-user", "record", "record", implied))
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o750
    assert owner(root / "a") == (7, 8)
    assert (root / "a").stat().st_mtime == 9
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o755
    assert stat.S_IMODE(root.stat().st_mode) == 0o711


def test_sparse_files_keep_their_holes(root: Path) -> None:
    apply_tar(pax_10((), 1 << 30, b"") + END, root)
    assert (root / "f").stat().st_size == 1 << 30
    assert (root / "f").stat().st_blocks == 0
    apply_tar(pax_10(REGIONS, SIZE, STORED) + END, root, MERGE)
    assert (root / "f").read_bytes() == CONTENT


WHITEOUTS: list[tuple[str, dict[str, Item], dict[str, str]]] = [
    ("a removal", {"d/x": removed()}, {"d": "dir", "d/x": "whiteout"}),
    ("an opaque directory", {"d": opaque(), "d/x": b"1"}, {"d": "dir!", "d/x": "1"}),
    ("an opaque root", {"": opaque(), "x": b"1"}, {"x": "1"}),
]


@pytest.mark.parametrize(("items", "expected"), [case[1:] for case in WHITEOUTS], ids=[case[0] for case in WHITEOUTS])
def test_overlays_form_of_whiteouts(items: dict[str, Item], expected: dict[str, str], root: Path) -> None:
    applied = apply(items, root)
    assert listing(root) == expected
    assert applied.opaque_root is ("" in items)


OLD = {"d": "dir", "d/e": "dir", "d/e/old": "old", "d/old": "old"}
ORDERS: list[tuple[str, list[str], dict[str, str], dict[str, str]]] = [
    # name, entries of the tar in order, overlay's form, merged over {"a": "old", "d/old": "old", "d/e/old": "old"}
    ("file then removal", ["a", ".wh.a"], {"a": "new"}, {"a": "new", **OLD}),
    ("removal then file", [".wh.a", "a"], {"a": "new"}, {"a": "new", **OLD}),
    ("directory then removal", ["d/", "d/n", ".wh.d"], {"d": "dir!", "d/n": "new"},
     {"a": "old", "d": "dir", "d/n": "new"}),
    ("removal then directory", [".wh.d", "d/", "d/n"], {"d": "dir!", "d/n": "new"},
     {"a": "old", "d": "dir", "d/n": "new"}),
    ("implied, then removal", ["d/n", ".wh.d"], {"d": "dir!", "d/n": "new"}, {"a": "old", "d": "dir", "d/n": "new"}),
    ("removal, then implied", [".wh.d", "d/n"], {"d": "dir!", "d/n": "new"}, {"a": "old", "d": "dir", "d/n": "new"}),
    ("opaque last", ["d/e/n", "d/n", "d/.wh..wh..opq"], {"d": "dir!", "d/e": "dir", "d/e/n": "new", "d/n": "new"},
     {"a": "old", "d": "dir", "d/e": "dir", "d/e/n": "new", "d/n": "new"}),
    ("opaque first", ["d/.wh..wh..opq", "d/e/n"], {"d": "dir!", "d/e": "dir", "d/e/n": "new"},
     {"a": "old", "d": "dir", "d/e": "dir", "d/e/n": "new"}),
    ("file over directory", ["d/", "d/n", "d"], {"d": "new"}, {"a": "old", "d": "new"}),
    ("directory over file", ["a", "a/"], {"a": "dir!"}, {"a": "dir", **OLD}),
    ("entry below a file", ["a", "a/n"], {"a": "dir!", "a/n": "new"},
     {"a": "dir", "a/n": "new", **OLD}),
    ("removed below, then a file", ["d/.wh.old", "d"], {"d": "new"}, {"a": "old", "d": "new"}),
    ("opaque root last", ["d/n", ".wh..wh..opq"], {"d": "dir", "d/n": "new"}, {"d": "dir", "d/n": "new"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "overlay", "merged"), [case[1:] for case in ORDERS], ids=[case[0] for case in ORDERS]
)
def test_whiteouts_act_on_what_is_below_in_any_order(
    names: list[str], overlay: dict[str, str], merged: dict[str, str], root: Path
) -> None:
    data = tar_of(*(member(name, b"5", mode=0o755) if name.endswith("/") else (member(name), b"new") for name in names))
    apply_tar(data, root)
    assert listing(root) == overlay
    below = root.with_name("below")
    below.mkdir()
    apply({"a": b"old", "d": directory(mode=0o755), "d/old": b"old", "d/e/old": b"old"}, below, MERGE)
    apply_tar(data, below, MERGE)
    assert listing(below) == merged


def test_merging_replaces_and_keeps(root: Path) -> None:
    apply({"d": directory(mode=0o500), "d/keep": b"1", "f": b"2", "l": symlink("d"), "t/u/v": b"3"}, root, MERGE)
    apply({"d": directory(mode=0o711), "d/new": b"4", "f/x": b"5", "l": b"6", "t": b"7"}, root, MERGE)
    assert listing(root) == {"d": "dir", "d/keep": "1", "d/new": "4", "f": "dir", "f/x": "5", "l": "6", "t": "7"}
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o711


def test_merging_keeps_the_attributes_of_a_directory_that_is_not_described(root: Path) -> None:
    apply({"d": directory(mode=0o500, mtime=5), "d/e/f": b""}, root, MERGE)
    apply({"d/new": b""}, root, MERGE)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o500
    apply({"d/e/f": removed()}, root, MERGE)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o500
    assert listing(root) == {"d": "dir", "d/e": "dir", "d/new": ""}


@pytest.mark.parametrize("names", [["d/n", ".wh.d"], [".wh.d", "d/n"]])
def test_a_directory_that_was_removed_has_not_its_old_attributes(names: list[str], root: Path) -> None:
    apply({"d": directory(mode=0o700, uid=5), "d/old": b""}, root, MERGE)
    apply_tar(tar_of(*map(member, names)), root, MERGE)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o755
    assert listing(root) == {"d": "dir", "d/n": ""}


def test_owners_are_recorded(root: Path) -> None:
    applied = apply(
        {
            "d": directory(uid=1, gid=2),
            "d/f": file(uid=1000, gid=70_000),
            "root": file(),
            "l": symlink("x", uid=3, gid=4),
            "k": symlink("y"),
            "hard": hardlink("l"),
        },
        root,
    )
    assert (owner(root / "d"), owner(root / "d/f")) == ((1, 2), (1000, 70_000))
    assert OWNER_XATTR not in os.listxattr(root / "root")
    assert applied.owners == {"l": (3, 4), "hard": (3, 4)}


def test_the_table_of_owners_follows_what_is_there(root: Path) -> None:
    first = apply({"a": symlink("x", uid=1), "b": symlink("x", uid=2), "d/c": symlink("x", uid=3)}, root, MERGE)
    layer = make_layer({"a": removed(), "b": file(uid=9), "d": b"", "e": symlink("x", uid=4)}, parents=False)
    descriptor = os.open(root, os.O_RDONLY)
    second = apply_layer(io.BytesIO(layer.tar), descriptor, policy=MERGE, owners=first.owners)
    os.close(descriptor)
    assert first.owners == {"a": (1, 0), "b": (2, 0), "d/c": (3, 0)}
    assert second.owners == {"e": (4, 0)}


def test_devices_are_recorded(root: Path) -> None:
    apply({"null": device("char", 1, 3, mode=0o666), "disk": device("block", 8, 1)}, root)
    assert decode_device(os.getxattr(root / "null", DEVICE_XATTR)) == ("char", 1, 3)
    assert decode_device(os.getxattr(root / "disk", DEVICE_XATTR)) == ("block", 8, 1)
    assert stat.S_IMODE((root / "null").stat().st_mode) == 0o666
    assert (root / "null").stat().st_size == 0


def test_what_cannot_be_kept_is_told(root: Path) -> None:
    xattrs = {
        "user.keep": b"1",
        "user.overlay.opaque": b"y",
        "trusted.overlay.redirect": b"/etc",
        OWNER_XATTR: b"\x08\x00",
        "security.selinux": b"label",
        "trusted.secret": b"2",
        "unknown.name": b"3",
    }
    applied = apply({"f": file(xattrs=xattrs), "g": file(xattrs={"security.selinux": b"x"}), "d": directory()}, root)
    assert os.listxattr(root / "f") == ["user.keep"]
    reasons = {(skipped.what, skipped.path): (skipped.reason, skipped.count) for skipped in applied.skipped}
    assert reasons == {
        ("user.overlay.opaque", "f"): ("the name is reserved", 1),
        ("trusted.overlay.redirect", "f"): ("the name is reserved", 1),
        (OWNER_XATTR, "f"): ("the name is reserved", 1),
        ("security.selinux", "f"): ("it belongs to the host's security module", 2),
        ("trusted.secret", "f"): ("only root can set it", 1),
        ("unknown.name", "f"): ("operation not supported", 1),
    }
    assert Skipped("security.selinux", "it belongs to the host's security module", "f", 2) in applied.skipped


def test_a_link_has_no_attributes(root: Path) -> None:
    tar = make_layer({"l": symlink("x")}, compression="none").tar
    assert apply_tar(tar, root).skipped == ()


def test_hard_links(root: Path) -> None:
    data = tar_of(
        (member("d/a"), b"1"),
        member("b", b"1", linkname="d/a"),
        member("e/c", b"1", linkname="/b"),
        (member("d/a"), b"2"),
        member("b", b"1", linkname="e/c"),
    )
    apply_tar(data, root)
    assert (root / "b").samefile(root / "e/c")
    assert listing(root) == {"b": "1", "d": "dir", "d/a": "2", "e": "dir", "e/c": "1"}


@pytest.mark.parametrize("policy", [OVERLAY, MERGE])
@pytest.mark.parametrize("target", ["a", "gone", "d", "none", "none/x"])
def test_hard_links_stay_in_their_layer(policy: ApplyPolicy, target: str, root: Path) -> None:
    apply({"a": b"1", "gone": b"2", "d": directory()}, root, MERGE)
    data = tar_of(member(".wh.gone"), member("b", b"1", linkname=target))
    below = root if policy is MERGE else root.with_name("alone")
    below.mkdir(exist_ok=True)
    with pytest.raises(LayerError, match=f'the hard link "b" points to "{target}", which is no file of its layer'):
        apply_tar(data, below, policy)


def test_aufs_bookkeeping_is_gone_and_its_links_are_there(root: Path) -> None:
    data = tar_of(
        member(".wh..wh.aufs"),
        member(".wh..wh.plnk", b"5"),
        (member(".wh..wh.plnk/1.2"), b"shared"),
        member("a", b"1", linkname=".wh..wh.plnk/1.2"),
    )
    apply_tar(data, root)
    assert listing(root) == {"a": "shared"}


def test_times_that_no_disk_holds_become_the_epoch(root: Path) -> None:
    apply_tar(tar_of(member("past", mtime=-5), member("future", mtime=1 << 60)), root)
    assert (root / "past").stat().st_mtime == (root / "future").stat().st_mtime == 0


def test_depth_needs_neither_descriptors_nor_recursion(root: Path) -> None:
    name = "/".join(["d" * 12] * 300)
    with scarce():
        apply({f"{name}/f": b"deep", **{f"n{number}/f": b"" for number in range(100)}}, root)
    assert (root / name / "f").read_bytes() == b"deep"
    assert (root / name).stat().st_mtime == 0
    descriptor = os.open(root, os.O_RDONLY)
    remove_tree("d" * 12, descriptor)
    os.close(descriptor)


def test_the_disk_can_refuse(root: Path) -> None:
    with pytest.raises(LayerError, match=r'cannot unpack "d/n{300}": file name too long'):
        apply({"d/" + "n" * 300: b""}, root)
