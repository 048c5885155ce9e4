"""An upper directory, made here as overlayfs makes it, as changes; a real one is read in tests/integration."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.entry import Change, Entry, LayerPath, Remove, Upsert
from pyoci.layer.recorded import OWNER_XATTR, encode_owner
from pyoci.snapshot.diff import UpperChanges, read_upper
from pyoci.snapshot.lowers import Lower
from pyoci.snapshot.ondisk import OwnerRules
from tests.builders import Item, directory, file, make_layer, opaque, removed, symlink

P = LayerPath
RECORD = OwnerRules("record")
OVERLAY = ApplyPolicy("overlay-user", "record", "record")
OLD = 1_000_000_000


class Stack:
    """Lower directories made of layers, and an empty upper one."""

    def __init__(self, path: Path, *layers: Mapping[str, Item]) -> None:
        self.lowers: list[Lower] = []
        for number, items in enumerate(layers):
            files = path / f"lower{number}"
            files.mkdir()
            descriptor = os.open(files, os.O_RDONLY)
            applied = apply_layer(io.BytesIO(make_layer(items).tar), descriptor, policy=OVERLAY)
            os.close(descriptor)
            self.lowers.insert(0, Lower(files, applied.owners))
        self.upper = path / "upper"
        self.upper.mkdir()

    def changes(self, rules: OwnerRules = RECORD) -> UpperChanges:
        descriptor = os.open(self.upper, os.O_RDONLY)
        try:
            return read_upper(descriptor, self.lowers, rules)
        finally:
            os.close(descriptor)

    def whiteout(self, name: str) -> None:
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(path, stat.S_IFCHR, 0)

    def opaque(self, name: str, mode: int = 0o755) -> Path:
        path = self.upper / name
        path.mkdir(parents=True)
        path.chmod(mode)
        os.setxattr(path, "user.overlay.opaque", b"y")
        return path

    def copy_up(self, name: str, content: bytes, *, mode: int = 0o644, mtime: int = OLD) -> Path:
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (mtime, mtime))
        return path


def paths_of(changes: tuple[Change, ...]) -> list[str]:
    return [change.entry.path if isinstance(change, Upsert) else f"-{change.path}" for change in changes]


def test_nothing(tmp_path: Path) -> None:
    assert Stack(tmp_path, {"a": b""}).changes() == UpperChanges((), {})


def test_new_files_come_with_their_directories(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"etc": directory(mode=0o755), "etc/passwd": b"", "usr": directory()})
    stack.copy_up("etc/new", b"12345", mode=0o4711, mtime=77)
    (stack.upper / "usr").mkdir()
    (stack.upper / "srv").mkdir(mode=0o750)
    changes = stack.changes().changes
    assert paths_of(changes) == ["etc", "etc/new", "srv"]
    assert changes[1] == Upsert(Entry(P("etc/new"), "file", 0o4711, size=5, mtime=77))


def test_a_directory_is_a_change_by_mode_but_not_by_time(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"a": directory(mode=0o755, mtime=5), "b": directory(mode=0o700), "c/d": directory()})
    (stack.upper / "a").mkdir(mode=0o755)
    (stack.upper / "b").mkdir(mode=0o755)
    (stack.upper / "c/d").mkdir(parents=True)
    (stack.upper / "c/d").chmod(0o711)
    assert paths_of(stack.changes().changes) == ["b", "c", "c/d"]


def put_back(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))


SAME: list[tuple[str, Callable[[Path], None], bool]] = [
    ("untouched", lambda path: None, True),
    ("mode", lambda path: path.chmod(0o600), False),
    ("content, time put back", lambda path: put_back(path, b"0ld content"), False),
    ("size, time put back", lambda path: put_back(path, b"other"), False),
    ("time", lambda path: os.utime(path, (OLD + 1, OLD + 1)), False),
    ("fraction of a second", lambda path: os.utime(path, ns=(0, OLD * 10**9 + 1)), False),
    ("attribute", lambda path: os.setxattr(path, "user.a", b"1"), False),
    ("owner", lambda path: os.setxattr(path, OWNER_XATTR, encode_owner(5, 0)), False),
    ("owner said to be root's", lambda path: os.setxattr(path, OWNER_XATTR, encode_owner(0, 0)), True),
]


@pytest.mark.parametrize(("change", "same"), [case[1:] for case in SAME], ids=[case[0] for case in SAME])
def test_a_copied_up_file_counts_only_if_it_differs(change: Callable[[Path], None], same: bool, tmp_path: Path) -> None:
    """BuildKit, util/overlay `sameDirent`."""
    stack = Stack(tmp_path, {"d/f": file(b"old content", mtime=OLD)})
    change(stack.copy_up("d/f", b"old content"))
    assert paths_of(stack.changes().changes) == ([] if same else ["d", "d/f"])


def test_equal_times_with_fractions_are_believed(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"f": file(b"aaa")})
    for path, content in ((stack.lowers[0].files / "f", b"aaa"), (stack.upper / "f", b"bbb")):
        path.write_bytes(content)
        os.utime(path, ns=(0, 123_456_789))
    assert stack.changes().changes == ()


def test_links(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"same": symlink("a", mtime=OLD), "other": symlink("a", mtime=OLD)})
    for name, target in (("same", "a"), ("other", "b"), ("new", "c")):
        (stack.upper / name).symlink_to(target)
        os.utime(stack.upper / name, (OLD, OLD), follow_symlinks=False)
    changes = stack.changes().changes
    assert changes == tuple(
        Upsert(Entry(P(name), "symlink", 0o777, mtime=OLD, link=target))
        for name, target in (("new", "c"), ("other", "b"))
    )


def test_whiteouts_of_what_is_there_alone(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"d/a": b"", "d/b/c": b"", "e": removed()}, {"d/a": removed(), "x": b""})
    for name in ("d/b", "d/a", "d/none", "e", "x"):
        stack.whiteout(name)
    assert paths_of(stack.changes().changes) == ["-x", "d", "-d/b"]


def test_whiteouts_are_linked_together_but_are_no_links(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"a": b"", "b": b"", "c": b""})
    stack.whiteout("a")
    os.link(stack.upper / "a", stack.upper / "b")
    os.link(stack.upper / "a", stack.upper / "c")
    assert stack.changes().changes == (Remove(P("a")), Remove(P("b")), Remove(P("c")))


def test_an_opaque_directory_has_all_its_contents(tmp_path: Path) -> None:
    """What it hides is named, since image-spec layer.md prefers explicit whiteouts."""
    below: dict[str, Item] = {"d": directory(mode=0o755), "d/same": file(b"1", mtime=OLD), "d/e/f": b"", "d/old": b""}
    stack = Stack(tmp_path, below)
    stack.opaque("d")
    stack.copy_up("d/same", b"1")
    stack.copy_up("d/e/g", b"2")
    os.mknod(stack.upper / "d/old", stat.S_IFCHR, 0)
    changes = stack.changes().changes
    assert paths_of(changes) == ["d", "-d/old", "d/e", "-d/e/f", "d/e/g", "d/same"]


def test_opaque_over_nothing_or_a_file_is_a_plain_directory(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"f": b""}, {"g": b"", "h": removed()})
    for name in ("f", "new", "h"):
        stack.opaque(name)
    assert paths_of(stack.changes().changes) == ["f", "h", "new"]


def test_what_lower_layers_hide_is_not_there(tmp_path: Path) -> None:
    stack = Stack(
        tmp_path,
        {"d/a": b"", "d/b": b"", "f": file(b"x", mtime=OLD), "g/h": b""},
        {"d": opaque(), "d/b": b"", "f": removed(), "g": b""},
        {"other": b""},
    )
    for name in ("d/a", "d/b", "f", "g"):
        stack.whiteout(name)
    assert paths_of(stack.changes().changes) == ["-g", "d", "-d/b"]


def test_hard_links_are_found_by_inode(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"a": file(b"1", mtime=OLD)})
    stack.copy_up("d/z", b"2")
    os.link(stack.upper / "d/z", stack.upper / "y")
    os.link(stack.upper / "d/z", stack.upper / "d/x")
    changes = [change.entry for change in stack.changes().changes if isinstance(change, Upsert)]
    assert [(entry.path, entry.type, entry.link) for entry in changes] == [
        ("d", "dir", ""),
        ("d/x", "file", ""),
        ("d/z", "hardlink", "d/x"),
        ("y", "hardlink", "d/x"),
    ]


def test_a_new_link_to_a_file_that_is_the_same(tmp_path: Path) -> None:
    """`ln a b` copies a up unchanged: b is a file of its own then (as in BuildKit)."""
    stack = Stack(tmp_path, {"a": file(b"1", mtime=OLD)})
    stack.copy_up("a", b"1")
    os.link(stack.upper / "a", stack.upper / "b")
    assert stack.changes().changes == (Upsert(Entry(P("b"), "file", size=1, mtime=OLD)),)


def test_owners_without_the_right_to_give_files_away(tmp_path: Path) -> None:
    stack = Stack(
        tmp_path,
        {
            "shadow": file(b"x", mode=0o640, gid=42),
            "mail": directory(mode=0o2775, gid=8),
            "link": symlink("old", uid=3),
            "kind": symlink("x", uid=4),
            "plain": b"",
        },
    )
    stack.copy_up("shadow", b"rewritten")
    (stack.upper / "mail").mkdir()
    (stack.upper / "mail").chmod(0o2775)
    os.setxattr(stack.upper / "mail", OWNER_XATTR, encode_owner(0, 8))
    stack.copy_up("mail/bob", b"")
    stack.copy_up("given", b"")
    os.setxattr(stack.upper / "given", OWNER_XATTR, encode_owner(5, 6))
    (stack.upper / "link").symlink_to("new")
    (stack.upper / "noted").symlink_to("x")
    stack.copy_up("kind", b"now a file")
    stack.copy_up("plain", b"now with content")
    inode = (stack.upper / "noted").lstat().st_ino
    found = stack.changes(OwnerRules("record", {inode: (70, 80)}, (1000, 1000)))
    owners = {
        change.entry.path: (change.entry.uid, change.entry.gid)
        for change in found.changes
        if isinstance(change, Upsert)
    }
    assert owners == {
        "given": (5, 6),
        "kind": (1000, 1000),
        "link": (3, 0),
        "mail": (0, 8),
        "mail/bob": (1000, 8),
        "noted": (70, 80),
        "plain": (0, 0),
        "shadow": (0, 42),
    }
    assert found.owners == {"link": (3, 0), "noted": (70, 80)}
    assert os.getxattr(stack.upper / "mail/bob", OWNER_XATTR) == encode_owner(1000, 8)


def test_a_step_that_saw_owners_meant_what_it_did(tmp_path: Path) -> None:
    """A file or directory that replaces another is its maker's; what overlayfs copied up has its attribute or none."""
    stack = Stack(
        tmp_path,
        {
            "shadow": file(b"x", gid=42),
            "kept": file(b"x", uid=3),
            "link": symlink("old", uid=3),
            "again": directory(uid=7),
            "again/f": file(b"", uid=7),
            "stub": directory(uid=8),
            "stub/f": b"",
        },
    )
    stack.copy_up("shadow", b"rewritten")
    stack.copy_up("kept", b"changed")
    os.setxattr(stack.upper / "kept", OWNER_XATTR, encode_owner(3, 0))
    (stack.upper / "link").symlink_to("new")
    stack.opaque("again")
    stack.copy_up("stub/new", b"")
    found = stack.changes(OwnerRules("record", exact=True))
    owners = {
        change.entry.path: (change.entry.uid, change.entry.gid)
        for change in found.changes
        if isinstance(change, Upsert)
    }
    assert owners == {
        "again": (0, 0),
        "kept": (3, 0),
        "link": (3, 0),
        "shadow": (0, 0),
        "stub": (8, 0),
        "stub/new": (0, 0),
    }


def test_the_next_step_finds_the_owners_of_this_one(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"a": b""})
    stack.copy_up("mine", b"1")
    (stack.upper / "link").symlink_to("x")
    first = stack.changes(OwnerRules("record", {}, (1000, 1000)))
    stack.lowers.insert(0, Lower(stack.upper, first.owners))
    stack.upper = tmp_path / "second"
    stack.upper.mkdir()
    stack.copy_up("mine", b"rewritten")
    (stack.upper / "link").symlink_to("y")
    entries = [change.entry for change in stack.changes().changes if isinstance(change, Upsert)]
    assert [(entry.path, entry.uid, entry.gid) for entry in entries] == [("link", 1000, 1000), ("mine", 1000, 1000)]


def test_owners_of_the_disk(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"same": file(b"1", mtime=OLD)})
    stack.copy_up("same", b"1")
    stack.copy_up("new", b"2")
    [change] = stack.changes(OwnerRules("chown")).changes
    assert isinstance(change, Upsert)
    status = (stack.upper / "new").stat()
    assert (change.entry.path, change.entry.uid, change.entry.gid) == ("new", status.st_uid, status.st_gid)


def test_the_roots_own_attributes_are_no_change(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"": directory(mode=0o755)})
    stack.upper.chmod(0o700)
    assert stack.changes().changes == ()


def test_a_path_too_long_for_a_layer(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {})
    here = os.open(stack.upper, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(LayerError, match="longer than the 4096 bytes that a layer may have"):
        stack.changes()


def test_links_in_directories_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_bytes(b"1")
    stack = Stack(tmp_path, {"d": symlink(str(tmp_path / "outside"))})
    stack.copy_up("d/f", b"1", mtime=int((tmp_path / "outside/f").stat().st_mtime))
    (stack.upper / "e").symlink_to(tmp_path / "outside")
    assert paths_of(stack.changes().changes) == ["d", "d/f", "e"]


def test_many_lowers_need_few_descriptors(tmp_path: Path) -> None:
    stack = Stack(tmp_path, *({f"shared/deep/dir/f{number}": b"", "shared/deep/x": b""} for number in range(120)))
    stack.copy_up("shared/deep/dir/new", b"")
    for number in range(0, 120, 7):
        stack.whiteout(f"shared/deep/dir/f{number}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    changes = stack.changes().changes
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert sum(isinstance(change, Remove) for change in changes) == len(range(0, 120, 7))
