"""Changes found by comparing a directory with its listing, for machines without an overlay."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.layer.entry import Change, LayerPath, Upsert
from pyoci.layer.recorded import OWNER_XATTR, encode_owner
from pyoci.snapshot.compare import compare_directories, list_tree
from pyoci.snapshot.diff import UpperChanges
from pyoci.snapshot.ondisk import OwnerRules

P = LayerPath
RECORD = OwnerRules("record")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    for name in ("etc", "usr/share/doc", "var"):
        (path / name).mkdir(parents=True)
    for name in ("etc/passwd", "etc/motd", "usr/share/doc/readme", "var/log"):
        (path / name).write_text(name)
        os.utime(path / name, (1000, 1000))
    (path / "bin").symlink_to("usr")
    return path


def after(root: Path, action: Callable[[], object], rules: OwnerRules = RECORD) -> UpperChanges:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        listing = list_tree(descriptor)
        action()
        return compare_directories(listing, descriptor, rules)
    finally:
        os.close(descriptor)


def paths_of(changes: tuple[Change, ...]) -> list[str]:
    return [change.entry.path if isinstance(change, Upsert) else f"-{change.path}" for change in changes]


def edit_in_place(path: Path) -> None:
    """`dd conv=notrunc` and `touch -r`: neither size nor modification time tells."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"E")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def steps(*actions: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda root: [action(root) for action in actions]


CASES: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("nothing", lambda root: (root / "etc/passwd").read_text(), []),
    ("new file", lambda root: (root / "etc/new").write_text("x"), ["etc", "etc/new"]),
    ("new directory", lambda root: (root / "a/b").mkdir(parents=True), ["a", "a/b"]),
    ("edited in place", lambda root: edit_in_place(root / "etc/motd"), ["etc", "etc/motd"]),
    ("mode", lambda root: (root / "var/log").chmod(0o600), ["var", "var/log"]),
    ("mode of a directory", lambda root: (root / "usr/share").chmod(0o700), ["usr", "usr/share"]),
    ("file gone", lambda root: (root / "etc/motd").unlink(), ["etc", "-etc/motd"]),
    ("directory gone", lambda root: shutil.rmtree(root / "usr"), ["-usr"]),
    ("directory became a file", steps(lambda r: shutil.rmtree(r / "usr"), lambda r: (r / "usr").write_text("x")),
     ["usr"]),
    ("file became a directory", steps(lambda r: (r / "var/log").unlink(), lambda r: (r / "var/log").mkdir()),
     ["var", "var/log"]),
    ("renamed", lambda root: (root / "etc").rename(root / "conf"), ["-etc", "conf", "conf/motd", "conf/passwd"]),
    ("link turned", steps(lambda r: (r / "bin").unlink(), lambda r: (r / "bin").symlink_to("var")),
     ["bin"]),
    ("made anew and the same", steps(lambda r: shutil.rmtree(r / "usr/share"), lambda r: (r / "usr/share").mkdir()),
     ["usr", "usr/share", "-usr/share/doc"]),
    ("attribute", lambda root: os.setxattr(root / "etc", "user.a", b"1"), ["etc"]),
    ("owner recorded", lambda root: os.setxattr(root / "etc", OWNER_XATTR, encode_owner(5, 0)), ["etc"]),
]  # fmt: skip


@pytest.mark.parametrize(("action", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_changed(action: Callable[[Path], object], expected: list[str], root: Path) -> None:
    assert paths_of(after(root, lambda: action(root)).changes) == expected


def test_hard_links_are_found(root: Path) -> None:
    changes = after(root, lambda: os.link(root / "etc/passwd", root / "etc/copy")).changes
    entries = [change.entry for change in changes if isinstance(change, Upsert)]
    assert [(entry.path, entry.type, entry.link) for entry in entries] == [
        ("etc", "dir", ""),
        ("etc/copy", "file", ""),
        ("etc/passwd", "hardlink", "etc/copy"),
    ]


def test_sockets_are_left_out(root: Path) -> None:
    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            descriptor = os.open(root, os.O_RDONLY)
            listener.bind(f"/proc/self/fd/{descriptor}/socket")
            os.close(descriptor)

    assert after(root, listen).changes == ()


def test_owners(root: Path) -> None:
    os.setxattr(root / "etc/passwd", OWNER_XATTR, encode_owner(0, 42))

    def rewrite() -> None:
        (root / "etc/passwd").unlink()
        (root / "etc/passwd").write_text("sed -i made it anew")
        (root / "mine").write_text("x")
        (root / "link").symlink_to("x")

    found = after(root, rewrite, OwnerRules("record", {}, (1000, 1001)))
    owners = {
        change.entry.path: (change.entry.uid, change.entry.gid)
        for change in found.changes
        if isinstance(change, Upsert)
    }
    assert owners == {"etc": (0, 0), "etc/passwd": (0, 42), "link": (1000, 1001), "mine": (1000, 1001)}
    assert found.owners == {"link": (1000, 1001)}
    assert os.getxattr(root / "mine", OWNER_XATTR) == encode_owner(1000, 1001)


def test_owners_of_a_step_that_saw_them(root: Path) -> None:
    os.setxattr(root / "etc/passwd", OWNER_XATTR, encode_owner(0, 42))

    def rewrite() -> None:
        content = (root / "etc/passwd").read_bytes()
        (root / "etc/other").write_bytes(content)
        (root / "etc/other").rename(root / "etc/passwd")

    found = after(root, rewrite, OwnerRules("record", exact=True))
    owners = {change.entry.path: change.entry.gid for change in found.changes if isinstance(change, Upsert)}
    assert owners == {"etc": 0, "etc/passwd": 0}


def test_owners_that_the_layers_left_in_their_table(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    listing = list_tree(descriptor, {"bin": (3, 4)})
    (root / "bin").unlink()
    (root / "bin").symlink_to("var")
    found = compare_directories(listing, descriptor, OwnerRules("record", {}, (9, 9)))
    os.close(descriptor)
    assert found.owners == {"bin": (3, 4)}


def test_listing_is_of_everything(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    listing = list_tree(descriptor)
    os.close(descriptor)
    assert sorted(listing) == sorted(["", *(path.relative_to(root).as_posix() for path in root.rglob("*"))])
    assert listing[P("etc/passwd")].size == len("etc/passwd")
    assert listing[P("etc/passwd")].inode == (root / "etc/passwd").stat().st_ino
