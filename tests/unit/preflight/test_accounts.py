from __future__ import annotations

import pytest

from pyoci.layer.tree import Tree
from pyoci.preflight.accounts import Account, UnknownName, find_account, user_number
from pyoci.preflight.reading import Files
from tests.builders import changes_of, directory

PASSWD = b"""\
# a comment: x
root:x:0:0:root:/root:/bin/sh

web:x:7:70::/srv:/bin/sh
short:x:8:80
odd:x:nine:9::/:
1000:x:11:11::/:
"""
GROUP = b"root:x:0:\nweb:x:70:\nstaff:x:90:root,web\nlog:x:91:web\nodd:x:nine:web\nothers:x:92:webmaster\n"


def files() -> Files:
    return Files(Tree([changes_of({"etc/passwd": PASSWD, "etc/group": GROUP})]))


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups"),
    [
        ("", 0, 0, {0, 90}),
        ("root", 0, 0, {0, 90}),
        ("0", 0, 0, {0, 90}),
        ("web", 7, 70, {70, 90, 91}),
        ("7", 7, 70, {70, 90, 91}),
        ("web:staff", 7, 90, {90}),
        ("web:5", 7, 5, {5}),
        ("12345", 12345, 0, {0}),
        ("12345:12", 12345, 12, {12}),
        ("short", 8, 80, {80}),
        (":staff", 0, 90, {90}),
        ("4294967294:4294967294", 4294967294, 4294967294, {4294967294}),
    ],
)
def test_users_are_looked_up_as_runtimes_do(user: str, uid: int, gid: int, groups: set[int]) -> None:
    assert find_account(files(), user) == Account(uid, gid, frozenset(groups))


@pytest.mark.parametrize(
    ("user", "kind", "name", "malformed"),
    [
        ("gone", "user", "gone", False),
        ("odd", "user", "odd", True),
        ("4294967295", "user", "4294967295", False),
        ("web:gone", "group", "gone", False),
        ("web:odd", "group", "odd", True),
    ],
)
def test_what_the_image_does_not_know(user: str, kind: str, name: str, malformed: bool) -> None:
    with pytest.raises(UnknownName) as caught:
        find_account(files(), user)
    error = caught.value
    assert (error.kind, error.name, error.malformed) == (kind, name, malformed)
    assert error.file == ("/etc/passwd" if kind == "user" else "/etc/group")


def test_an_image_without_accounts_knows_numbers_and_root() -> None:
    for empty in (Files(Tree()), Files(Tree([changes_of({"etc/passwd": directory()})]))):
        assert find_account(empty, "") == Account(0, 0, frozenset({0}))
        assert find_account(empty, "5:6") == Account(5, 6, frozenset({6}))
        with pytest.raises(UnknownName):
            find_account(empty, "root")


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "0x1", "²", "4294967295", "1" * 20, "a"])
def test_names_are_no_numbers(text: str) -> None:
    assert user_number(text) is None
