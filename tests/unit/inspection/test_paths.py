from __future__ import annotations

import errno

import pytest

from pyoci.errors import ContentNotFound, LayerError
from pyoci.inspection.listing import list_tree
from pyoci.inspection.paths import follow, not_there
from pyoci.layer.tree import LINK_LIMIT
from tests.builders import directory, symlink
from tests.unit.inspection.seen import tree_of

TREE = tree_of(
    {
        "usr/bin/tool": b"x",
        "bin": symlink("usr/bin"),
        "abs": symlink("/usr/../bin/tool"),
        "out": symlink("../../../etc/passwd"),
        "etc/passwd": b"",
        "one": symlink("two"),
        "two": symlink("one"),
        "dangling": symlink("nowhere"),
        "slashed": symlink("etc/passwd/"),
    }
)


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/", "/"),
        ("", "/"),
        ("bin/tool", "/usr/bin/tool"),
        ("/bin/../lib", errno.ENOENT),
        ("/bin/..", "/usr"),
        ("/abs", "/usr/bin/tool"),
        ("/out", "/etc/passwd"),
        ("/../../..", "/"),
        ("/one", errno.ELOOP),
        ("/dangling", errno.ENOENT),
        ("/nowhere/../etc", errno.ENOENT),
        ("/etc/passwd/..", errno.ENOTDIR),
        ("/etc/passwd/", errno.ENOTDIR),
        ("/slashed", errno.ENOTDIR),
        ("/bin/", "/usr/bin"),
    ],
)
def test_where_a_path_leads(path: str, leads: str | int) -> None:
    found = follow(TREE, path)
    assert (found.error or found.path) == leads


def test_a_link_at_the_end_is_followed_if_that_is_wanted() -> None:
    assert follow(TREE, "/bin", follow_last=False).path == "/bin"
    assert follow(TREE, "/bin/", follow_last=False).path == "/usr/bin"
    assert follow(TREE, "/one", follow_last=False).path == "/one"


def test_links_are_followed_as_far_as_the_kernel_does() -> None:
    chain = {f"l{number}": symlink(f"l{number + 1}") for number in range(LINK_LIMIT)}
    tree = tree_of({**chain, f"l{LINK_LIMIT}": b"end", "first": symlink("l0")})
    assert follow(tree, "/l0").path == f"/l{LINK_LIMIT}"
    assert follow(tree, "/first").error == errno.ELOOP


def test_what_is_not_there_is_told_with_what_is() -> None:
    def told(path: str) -> tuple[type, str, str | None]:
        error = not_there(TREE, path, follow(TREE, path), "app")
        return type(error), error.message, error.hint

    assert told("/etc/paswd") == (ContentNotFound, '"/etc/paswd" is not in app', "did you mean /etc/passwd?")
    assert told("/ETC/passwd") == (
        ContentNotFound,
        '"/ETC/passwd" is not in app: /ETC does not exist',
        "did you mean /etc?",
    )
    assert told("/etc/passwd/x") == (
        ContentNotFound,
        '"/etc/passwd/x" is not in app: /etc/passwd is no directory',
        None,
    )
    assert told("/one")[:2] == (LayerError, f'"/one" leads through more than {LINK_LIMIT} symbolic links')


def test_hostile_names_are_harmless_in_errors() -> None:
    tree = tree_of({"d/\x1b[31mname": b""})
    error = not_there(tree, "/d/\x1b[31mnamf", follow(tree, "/d/\x1b[31mnamf"), "app")
    assert "\x1b" not in error.message + (error.hint or "")


def test_a_listing_has_owners_and_layers() -> None:
    tree = tree_of(
        {"etc/passwd": b"root:x:0:0::/:/bin/sh\nweb:x:33:33::/:\nbad:x:one:1\n", "etc/group": b"www:x:33:\n"},
        {"srv": directory(uid=33, gid=33), "srv/b": b"22", "srv/a": symlink("b", uid=5)},
    )
    found = list(list_tree(tree, "/srv", name="app"))
    assert [(each.path, each.type, each.user, each.group, each.size, each.layer) for each in found] == [
        ("/srv/a", "symlink", "", "", 0, 1),
        ("/srv/b", "file", "root", "", 2, 1),
    ]
    everything = [each.path for each in list_tree(tree, "/", name="app", recursive=True)]
    assert everything == ["/etc", "/etc/group", "/etc/passwd", "/srv", "/srv/a", "/srv/b"]
    (one,) = list_tree(tree, "/srv/a", name="app")
    assert (one.path, one.digest) == (
        "/srv/b",
        "sha256:785f3ec7eb32f30b90cd0fcf3657d388b5ff4297f2f9716ff66e9b69c05ddd09",
    )
    (link,) = list_tree(tree, "/srv/a", name="app", follow_last=False)
    assert link.link == "b"
    with pytest.raises(ContentNotFound):
        list(list_tree(tree, "/nothing", name="app"))
