"""One file on disk as an entry, and who owns it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.recorded import DEVICE_XATTR, OWNER_XATTR, encode_device, encode_owner
from pyoci.snapshot import ondisk
from pyoci.snapshot.ondisk import FileOnDisk, OwnerRules, entry_of, open_file, read_file, read_owner_table, settle_owner

P = LayerPath


def found_at(path: Path) -> FileOnDisk:
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        found = read_file(path.name, directory, path.lstat())
    finally:
        os.close(directory)
    assert found is not None
    return found


def test_types_and_attributes(tmp_path: Path) -> None:
    plain = tmp_path / "f"
    plain.write_bytes(b"content")
    plain.chmod(0o4751)
    os.utime(plain, ns=(0, 1_999_999_999))
    os.setxattr(plain, "user.kept", b"\0\1")
    os.setxattr(plain, "user.overlay.impure", b"y")
    os.setxattr(plain, OWNER_XATTR, encode_owner(7, 8))
    found = found_at(plain)
    assert entry_of(P("x/f"), found, (1, 2)) == Entry(
        P("x/f"), "file", 0o4751, 1, 2, 7, 1, xattrs={"user.kept": b"\0\1"}
    )
    assert found.recorded == (7, 8)
    (tmp_path / "l").symlink_to("../target")
    os.mkfifo(tmp_path / "p")
    (tmp_path / "d").mkdir()
    assert (found_at(tmp_path / "l").type, found_at(tmp_path / "l").link) == ("symlink", "../target")
    assert found_at(tmp_path / "p").type == "fifo"
    assert found_at(tmp_path / "d").type == "dir"


def test_a_socket_is_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{directory}/s")
        assert read_file("s", directory, os.lstat("s", dir_fd=directory)) is None
        os.close(directory)


def test_a_recorded_device(tmp_path: Path) -> None:
    (tmp_path / "null").write_bytes(b"")
    os.setxattr(tmp_path / "null", DEVICE_XATTR, encode_device("char", 1, 3))
    found = found_at(tmp_path / "null")
    assert (found.type, found.device, found.xattrs) == ("char", (1, 3), {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (OWNER_XATTR, b"\xff", "records no owner"),
        (DEVICE_XATTR, b"nonsense", "records no device"),
        ("user.overlay.redirect", b"/x", "keeps the content"),
        ("user.overlay.metacopy", b"", "keeps the content"),
    ],
)
def test_attributes_that_make_no_sense(key: str, value: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.setxattr(tmp_path / "f", key, value)
    with pytest.raises(LayerError, match=message):
        found_at(tmp_path / "f")


def test_capabilities_lose_their_namespace() -> None:
    """linux/capability.h: revision 3 is revision 2 with another revision byte and four bytes of root ID behind it."""
    revision_2 = bytes.fromhex("0100000200040000000000000000000000000000")
    revision_3 = bytes.fromhex("0100000300040000000000000000000000000000") + (100_000).to_bytes(4, "little")
    assert ondisk._without_namespace(revision_3) == revision_2
    assert ondisk._without_namespace(revision_2) == revision_2


def at(mode: int = 0o644, *, recorded: tuple[int, int] | None = None, inode: int = 11) -> FileOnDisk:
    status = os.stat_result((stat.S_IFREG | mode, inode, 0, 1, 501, 502, 0, 0, 0, 0))
    return FileOnDisk(status, "file", "", (0, 0), {}, recorded)


def test_who_owns_a_file() -> None:
    chown = OwnerRules("chown", {11: (9, 9)}, (8, 8))
    assert chown.owner(at(recorded=(1, 1)), (2, 2), None, 0) == (501, 502)
    record = OwnerRules("record", {11: (3, 4)}, (1000, 1001))
    plain, setgid = at(0o755), at(0o2755)
    assert record.owner(at(recorded=(1, 2)), (5, 6), plain, 7) == (1, 2)
    assert record.owner(at(recorded=(0, 0)), (5, 6), plain, 7) == (0, 0)
    assert record.owner(at(), (5, 6), plain, 7) == (3, 4)
    assert record.owner(at(inode=12), (5, 6), setgid, 7) == (5, 6)
    assert record.owner(at(inode=12), None, plain, 7) == (1000, 1001)
    assert record.owner(at(inode=12), None, setgid, 7) == (1000, 7)


def test_an_owner_is_written_for_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "l").symlink_to("f")
    directory = os.open(tmp_path, os.O_RDONLY)
    assert settle_owner("f", directory, found_at(tmp_path / "f"), (0, 0))
    assert os.listxattr(tmp_path / "f") == []
    assert settle_owner("f", directory, found_at(tmp_path / "f"), (5, 6))
    assert found_at(tmp_path / "f").recorded == (5, 6)
    assert settle_owner("f", directory, found_at(tmp_path / "f"), (0, 0))
    assert found_at(tmp_path / "f").recorded == (0, 0)
    assert not settle_owner("l", directory, found_at(tmp_path / "l"), (5, 6))
    assert settle_owner("l", directory, found_at(tmp_path / "l"), (0, 0))
    os.close(directory)


def test_the_recorders_table(tmp_path: Path) -> None:
    table = tmp_path / "owners"
    assert read_owner_table(table) == {}
    table.write_text("11 1 2\n12 3 4\n11 5 6\n")
    assert read_owner_table(table) == {11: (5, 6), 12: (3, 4)}
    table.write_text("11 1\n")
    with pytest.raises(LayerError, match="is no table of owners"):
        read_owner_table(table)


def test_opening_a_file_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/f").write_bytes(b"in")
    (tmp_path / "out").write_bytes(b"out")
    (tmp_path / "root/l").symlink_to("../out")
    (tmp_path / "root/e").symlink_to("..")
    os.mkfifo(tmp_path / "root/p")
    root = os.open(tmp_path / "root", os.O_RDONLY)
    descriptor = open_file(root, P("d/f"))
    assert os.read(descriptor, 10) == b"in"
    os.close(descriptor)
    for path in ("l", "e/out", "none", "d/none", "d/f/x"):
        with pytest.raises(LayerError, match=f'cannot read "{path}"'):
            open_file(root, P(path))
    for path in ("d", "p"):
        with pytest.raises(LayerError, match=f'"{path}" is not a file'):
            open_file(root, P(path))
    os.close(root)
