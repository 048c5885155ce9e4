"""A directory as a source of COPY: what is there, what is ignored, what is remembered."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pyoci.build import context_index
from pyoci.build.context import DirectoryContext
from pyoci.build.context_index import ContextIndex
from pyoci.build.files import content_digest
from pyoci.digest import sha256_digest
from pyoci.dockerfile.patterns import parse_dockerignore
from pyoci.errors import BuildError, LayerError
from pyoci.layer.entry import Entry
from pyoci.store import Store


def names(context: DirectoryContext, path: str = "") -> list[str]:
    found: list[str] = []
    for entry in context.children(path):
        found.append(entry.path)
        if entry.type == "dir":
            found.extend(names(context, entry.path))
    return found


def at(context: DirectoryContext, path: str) -> Entry:
    entry = context.lookup_nofollow(path)
    assert entry is not None
    return entry


def test_entries_have_no_owner_and_no_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o4751)
    entry = at(DirectoryContext(tmp_path), "a")
    assert (entry.mode, entry.uid, entry.gid, entry.mtime, entry.size) == (0o4751, 0, 0, 0, 1)


def test_a_socket_is_left_out_as_docker_does(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        os.mkfifo(tmp_path / "f")
        assert names(DirectoryContext(tmp_path)) == ["f"]


def test_links_are_followed_inside_the_context_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "out").symlink_to("../../../etc/passwd")
    (tmp_path / "absolute").symlink_to("/real/f")
    context = DirectoryContext(tmp_path)
    assert context.resolve("link/f") == "real/f"
    assert context.resolve("absolute") == "real/f"
    assert context.resolve("out") == "etc/passwd"
    assert context.lookup_nofollow(context.resolve("out")) is None


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LayerError, match="too many symbolic links"):
        DirectoryContext(tmp_path).resolve("a")


def test_ignored_paths_are_not_there(tmp_path: Path) -> None:
    for name in ("keep/a", "drop/b", "drop/keep/c", "top.log", "keep/x.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    rules = parse_dockerignore(b"drop\n!drop/keep\n*.log\n")
    context = DirectoryContext(tmp_path, rules)
    assert names(context) == ["drop", "drop/keep", "drop/keep/c", "keep", "keep/a", "keep/x.log"]
    assert context.lookup_nofollow("drop/b") is None
    assert context.lookup_nofollow("top.log") is None


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    context = DirectoryContext(tmp_path)
    entry = at(context, "a")
    (tmp_path / "a").unlink()
    with pytest.raises(BuildError, match=r"cannot read .*/a: No such file"):
        context.open_content(entry)


class TestIndex:
    def test_an_unchanged_file_is_not_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(tmp_path / "store")
        directory = tmp_path / "context"
        directory.mkdir()
        (directory / "a").write_text("one")
        monkeypatch.setattr(context_index, "RACY_NANOSECONDS", -(10**18))
        first = DirectoryContext(directory, index=ContextIndex(store, str(directory)))
        assert content_digest(first, at(first, "a")) == sha256_digest(b"one")
        first.save_index()
        second = DirectoryContext(directory, index=ContextIndex(store, str(directory)))

        def refuse(*_: object) -> int:
            raise AssertionError("an unchanged file was opened")

        monkeypatch.setattr(second, "open_content", refuse)
        assert content_digest(second, at(second, "a")) == sha256_digest(b"one")

    def test_a_racy_file_is_read_again(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store")
        directory = tmp_path / "context"
        directory.mkdir()
        (directory / "a").write_text("one")
        index = ContextIndex(store, str(directory))
        first = DirectoryContext(directory, index=index)
        content_digest(first, at(first, "a"))
        first.save_index()
        again = ContextIndex(store, str(directory))
        status = (directory / "a").stat()
        assert again.get("a", (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)) is None

    @pytest.mark.parametrize("damage", [b"", b"\x00", b"not marshal", b"i\x01\x00\x00\x00"])
    def test_a_damaged_index_is_an_empty_one(self, tmp_path: Path, damage: bytes) -> None:
        store = Store(tmp_path / "store")
        index = ContextIndex(store, "/x")
        store.write_file("indexes", index._name, damage)
        assert ContextIndex(store, "/x").get("a", (0, 0, 0, 0)) is None
