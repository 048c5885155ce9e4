"""Who a step is, as the image's own passwd and group say, and how often they are read."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

import pytest

from pyoci.build.files import FileView
from pyoci.build.operations.users import Account, chown_ids, run_account
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import BuildError
from pyoci.layer.entry import Entry, LayerPath

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n# a note\napp:x:1000:1001:App:/home/app:\nodd:x:5:7\n"
GROUP = b"root:x:0:\napp:x:1001:\nmail:x:8:daemon,app\nstaff:x:50:app\n"


class Files:
    """A tree of files in memory that counts what is opened."""

    def __init__(self, files: dict[str, bytes], *, known: bool) -> None:
        self._files = files
        self._known = known
        self.opened: list[str] = []

    def resolve(self, path: str) -> LayerPath:
        return LayerPath(path)

    def children(self, path: str) -> list[Entry]:
        return [Entry(LayerPath(name), "file") for name in self._files]

    def lookup_nofollow(self, path: str) -> Entry | None:
        content = self._files.get(path)
        return None if content is None else Entry(LayerPath(path), "file", size=len(content))

    def open_content(self, entry: Entry) -> BinaryIO:
        self.opened.append(entry.path)
        return io.BytesIO(self._files[entry.path])

    def digest_of(self, entry: Entry) -> Digest | None:
        return sha256_digest(self._files[entry.path]) if self._known else None


def view(files: Files) -> FileView:
    return cast("FileView", files)


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(0, 0, (0,), "/root")),
        ("root", Account(0, 0, (0,), "/root")),
        ("app", Account(1000, 1001, (1001, 8, 50), "/home/app")),
        ("1000", Account(1000, 1001, (1001, 8, 50), "/home/app")),
        ("1000:8", Account(1000, 8, (8,), "/home/app")),
        ("app:mail", Account(1000, 8, (8,), "/home/app")),
        ("4242", Account(4242, 0, (0,), "/")),
        ("odd", Account(5, 7, (7,), "/")),
    ],
)
def test_users(user: str, account: Account) -> None:
    """runtime-spec config.md#user, and docker's rules for names."""
    assert run_account(view(Files({"etc/passwd": PASSWD, "etc/group": GROUP}, known=True)), user) == account


def test_users_that_are_not_known() -> None:
    files = view(Files({"etc/passwd": PASSWD}, known=False))
    with pytest.raises(BuildError, match='unable to find user "nobody"'):
        run_account(files, "nobody")
    with pytest.raises(BuildError, match='unable to find group "mail"'):
        run_account(files, "app:mail")


def test_what_lies_in_a_layer_is_read_once() -> None:
    """Every step asks, and the layer is decompressed for it."""
    files = Files({"etc/passwd": PASSWD + b"once:x:9:9::/:\n", "etc/group": GROUP + b"once:x:9:\n"}, known=True)
    for _ in range(3):
        assert run_account(view(files), "once").uid == 9
    assert files.opened == ["etc/passwd", "etc/group"]


def test_what_a_step_wrote_is_read_again() -> None:
    content = {"etc/passwd": PASSWD, "etc/group": GROUP}
    files = Files(content, known=False)
    assert run_account(view(files), "app").uid == 1000
    content["etc/passwd"] = PASSWD.replace(b"1000", b"1234")
    assert run_account(view(files), "app").uid == 1234


@pytest.mark.parametrize(
    ("owner", "ids"),
    [
        ("app", (1000, 1001)),
        ("1000", (1000, 1000)),
        ("app:", (1000, 0)),
        ("1000:", (1000, 0)),
        (":app", (0, 1001)),
        ("root", (0, 0)),
        ("app:root", (1000, 0)),
        ("app:mail", (1000, 8)),
        ("+5", (5, 5)),
        ("7:+8", (7, 8)),
        ("2147483647", (2147483647, 2147483647)),
        ("2147483648", (0, 0)),
        ("nobody:2147483648", (0, 0)),
        ("app:nobody", (1000, 1001)),
    ],
)
def test_owners(owner: str, ids: tuple[int, int]) -> None:
    """BuildKit's reading: an empty side and root are 0, numbers have 32 bits and a sign."""
    files = Files({"etc/passwd": PASSWD, "etc/group": GROUP}, known=True)
    assert chown_ids(view(files), owner, lambda text: None) == ids


@pytest.mark.parametrize("owner", ["root", "root:root", "0:root", "1:", ":1"])
def test_owners_that_no_file_is_read_for(owner: str) -> None:
    files = Files({}, known=True)
    chown_ids(view(files), owner, lambda text: None)
    assert files.opened == []
