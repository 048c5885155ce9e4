"""The normal form of changes: what several entries with related names mean together."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pyoci.errors import LayerError
from pyoci.layer.changes import ChangeBuilder, normalized, sorted_changes, with_parents
from pyoci.layer.entry import Change, Entry, EntryType, LayerPath, Opaque, Remove, Upsert

P = LayerPath


def put(path: str, type: EntryType = "file", *, mode: int = 0o644, link: str = "", size: int = 0) -> Upsert:
    return Upsert(Entry(P(path), type, mode, size=size, link=link))


def built(*changes: Change) -> list[Change]:
    """As the entries of a tar, one after the other."""
    builder: ChangeBuilder[None] = ChangeBuilder()
    for change in changes:
        builder.add(change)
    return [change for change, _ in builder.finish()]


CASES: list[tuple[str, list[Change], list[Change]]] = [
    ("last of two files wins", [put("a", mode=1), put("a", mode=2)], [put("a", mode=2)]),
    ("directory over directory keeps contents", [put("d", "dir", mode=1), put("d/f"), put("d", "dir", mode=2)],
     [put("d", "dir", mode=2), put("d/f")]),
    ("file over directory replaces it with all below", [put("d", "dir"), put("d/e", "dir"), put("d/e/f"), put("d")],
     [put("d")]),
    ("file over implied directory", [put("d/e/f"), put("d")], [put("d")]),
    ("directory over file hides what is below", [put("d"), put("d", "dir")], [put("d", "dir"), Opaque(P("d"))]),
    ("entry below a file replaces it", [put("d"), put("d/f")],
     [put("d", "dir", mode=0o755), Opaque(P("d")), put("d/f")]),
    ("entry below a link replaces it", [put("d", "symlink", link="/etc"), put("d/e/f")],
     [put("d", "dir", mode=0o755), Opaque(P("d")), put("d/e/f")]),
    ("link over the directory that it points into", [put("d/f"), put("d", "symlink", link="d/f")],
     [put("d", "symlink", link="d/f")]),
    ("removal and file", [Remove(P("a")), put("a")], [put("a")]),
    ("file and removal", [put("a"), Remove(P("a"))], [put("a")]),
    ("removal and directory", [Remove(P("d")), put("d", "dir")], [put("d", "dir"), Opaque(P("d"))]),
    ("directory and removal", [put("d", "dir"), put("d/f"), Remove(P("d"))],
     [put("d", "dir"), Opaque(P("d")), put("d/f")]),
    ("removal of an implied directory", [put("d/f"), Remove(P("d"))],
     [put("d", "dir", mode=0o755), Opaque(P("d")), put("d/f")]),
    ("removal below a file that comes later", [Remove(P("d/x")), put("d")], [put("d")]),
    ("opaque after contents", [put("d/f"), Opaque(P("d")), put("d", "dir")],
     [put("d", "dir"), Opaque(P("d")), put("d/f")]),
    ("opaque over a file", [put("d"), Opaque(P("d"))], [put("d", "dir", mode=0o755), Opaque(P("d"))]),
    ("root", [put("f"), put("", "dir", mode=0o700)], [put("", "dir", mode=0o700), put("f")]),
    ("hard link keeps what its target was",
     [put("a", mode=1), put("b", "hardlink", mode=1, link="a"), put("a", mode=2)],
     [put("a", mode=2), put("b", mode=1)]),
    ("hard link before its target's other name", [put("z", mode=1), put("a", "hardlink", mode=1, link="z")],
     [put("a", mode=1), put("z", "hardlink", mode=1, link="a")]),
    ("hard link to a hard link", [put("a"), put("b", "hardlink", link="a"), put("c", "hardlink", link="b")],
     [put("a"), put("b", "hardlink", link="a"), put("c", "hardlink", link="a")]),
    ("hard link describes the file", [put("a", mode=1), put("b", "hardlink", mode=4, link="a")],
     [put("a", mode=4), put("b", "hardlink", mode=4, link="a")]),
    ("hard link describes a symbolic link, whose mode stays",
     [put("a", "symlink", mode=0o777, link="x"), put("b", "hardlink", mode=1, link="a")],
     [put("a", "symlink", mode=0o777, link="x"), put("b", "hardlink", mode=0o777, link="a")]),
    ("hard link replaced by a file", [put("a"), put("b", "hardlink", link="a"), put("b", mode=3)],
     [put("a"), put("b", mode=3)]),
    ("target removed with its directory", [put("d/a", mode=1), put("b", "hardlink", mode=1, link="d/a"), put("d")],
     [put("b", mode=1), put("d")]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_entries_mean_together(given: list[Change], expected: list[Change]) -> None:
    assert built(*given) == expected
    assert built(*expected) == expected
    assert sorted_changes(expected) == tuple(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([put("d", "dir"), put("b", "hardlink", link="d")], 'the hard link "b" points to the directory "d"'),
        ([put("d/f"), put("b", "hardlink", link="d")], 'the hard link "b" points to the directory "d"'),
        ([put("b", "hardlink", link="b")], 'the hard link "b" replaces its own target "b"'),
        ([put("b"), put("b/c/d", "hardlink", link="b")], 'the hard link "b/c/d" replaces its own target "b"'),
        ([put("b", "hardlink", link="x")], 'the hard link "b" points to "x", which is no file of its layer'),
        ([put("b", "hardlink", link="x"), put("x")], 'the hard link "b" points to "x", which is no file of its layer'),
        ([put("d/f"), put("d", "hardlink", link="d/f")], "replaces the directory that holds its target"),
        ([put("", "symlink", link="/")], "the root would be a symlink instead of a directory"),
        ([Remove(P(""))], "the root directory cannot be removed"),
    ],
)
def test_changes_that_cannot_be(changes: list[Change], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        built(*changes)


def test_a_circle_of_links() -> None:
    with pytest.raises(LayerError, match=r'the hard link "[abc]" leads in a circle'):
        sorted_changes([put("a", "hardlink", link="b"), put("b", "hardlink", link="c"), put("c", "hardlink", link="a")])


GIVEN: Sequence[Change] = (
    put("usr", "dir"),
    put("usr/bin", "dir"),
    put("usr/bin/z", "hardlink", link="usr/bin/y"),
    put("usr/bin/y", "hardlink", link="var/a"),
    put("var/a", size=5),
    put("aa", "hardlink", link="usr/bin/z"),
    put("usr-local", "symlink", link="usr"),
    Remove(P("usr/bin/old")),
    Opaque(P("usr/share")),
    Remove(P("gone")),
)


def test_any_order_gives_the_same() -> None:
    expected = sorted_changes(GIVEN)
    assert expected == (
        Remove(P("gone")),
        put("aa", size=5),
        put("usr", "dir"),
        put("usr/bin", "dir"),
        Remove(P("usr/bin/old")),
        put("usr/bin/y", "hardlink", link="aa"),
        put("usr/bin/z", "hardlink", link="aa"),
        Opaque(P("usr/share")),
        put("usr-local", "symlink", link="usr"),
        put("var/a", "hardlink", link="aa"),
    )
    shuffled = list(GIVEN)
    for seed in range(200):
        random.Random(seed).shuffle(shuffled)
        assert sorted_changes(shuffled) == expected


def test_the_entry_that_knows_the_bytes() -> None:
    changes, origins = normalized(GIVEN)
    assert origins == {"aa": Entry(P("var/a"), "file", size=5)}
    assert normalized(changes) == (changes, {})


def test_a_later_entry_replaces_a_link_that_would_come_last() -> None:
    assert sorted_changes([put("b", "hardlink", link="a"), put("a"), put("b", mode=7)]) == (put("a"), put("b", mode=7))


def test_what_is_normal_is_returned_as_it_is() -> None:
    changes = (put("a", "dir"), Remove(P("a/x")), put("a/b"), put("a/c", "hardlink", link="a/b"), put("b"))
    assert all(one is other for one, other in zip(sorted_changes(changes), changes, strict=True))


def test_parents_are_added_once_with_what_is_known_of_them() -> None:
    known = Entry(P("usr"), "dir", 0o751, 3, 4)
    link = Entry(P("opt"), "symlink", link="usr")
    lookup = {known.path: known, link.path: link}
    given: list[Change] = [
        put("usr/bin/a"),
        put("usr/bin/b"),
        put("etc", "dir", mode=0o700),
        put("etc/c"),
        Remove(P("opt/x")),
    ]
    assert sorted_changes(with_parents(given, lookup.get)) == sorted_changes(
        [
            *given,
            Upsert(known),
            put("usr/bin", "dir", mode=0o755),
            put("opt", "dir", mode=0o755),
        ]
    )
    made = with_parents([put("a/b")], lambda _: None, lambda path: Entry(path, "dir", 0o700, 9, 9))
    assert made == [Upsert(Entry(P("a"), "dir", 0o700, 9, 9)), put("a/b")]
