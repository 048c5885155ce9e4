"""Stacks of layers as one file system. Expected values follow image-spec layer.md and what overlayfs shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pyoci.digest import sha256_digest
from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.level import Level
from pyoci.layer.tree import Tree, flatten
from tests.builders import (
    Item,
    MemoryChanges,
    changes_of,
    device,
    directory,
    file,
    hardlink,
    make_image,
    make_layer,
    opaque,
    open_layers,
    removed,
    symlink,
)

P = LayerPath
Layers = list[Mapping[str, Item]]


def tree_of(*layers: Mapping[str, Item], parents: bool = False) -> Tree:
    return Tree(changes_of(layer, parents=parents) for layer in layers)


def indexed_tree(*layers: Mapping[str, Item]) -> Tree:
    content, image = make_image([make_layer(layer, parents=False) for layer in layers])
    return Tree(open_layers(image, content))


def shown(tree: Tree) -> dict[str, str]:
    """Every path with what it is: content of files, target of links, mode of directories."""
    result: dict[str, str] = {}
    for entry in tree.walk():
        if entry.type == "file":
            result[entry.path] = tree.open(entry).read().decode()
        elif entry.type == "symlink":
            result[entry.path] = f"-> {entry.link}"
        else:
            result[entry.path] = f"{entry.type} {entry.mode:o}"
    return result


CASES: list[tuple[str, Layers, dict[str, str]]] = [
    ("nothing", [], {}),
    ("one layer without parents", [{"a/b/c": b"1"}], {"a": "dir 755", "a/b": "dir 755", "a/b/c": "1"}),
    ("files of all layers", [{"d/a": b"1"}, {"d/b": b"2"}, {"c": b"3"}],
     {"c": "3", "d": "dir 755", "d/a": "1", "d/b": "2"}),
    ("the uppermost wins", [{"a": b"1"}, {"a": b"2"}, {"b": b"x"}], {"a": "2", "b": "x"}),
    ("a whiteout", [{"d/a": b"1", "d/b": b"2"}, {"d/a": removed()}], {"d": "dir 755", "d/b": "2"}),
    ("a whiteout of a directory", [{"d/a": b"1"}, {"d": removed()}], {}),
    ("a whiteout reaches through layers", [{"d/a": b"1"}, {"d/b": b"2"}, {"d": removed()}, {"d/c": b"3"}],
     {"d": "dir 755", "d/c": "3"}),
    ("a whiteout of nothing makes its directory", [{"d/x": removed()}], {"d": "dir 755"}),
    ("an opaque directory", [{"d/a": b"1", "d/e/f": b"2"}, {"d": opaque(), "d/b": b"3"}], {"d": "dir 755", "d/b": "3"}),
    ("opaque keeps the attributes below", [{"d": directory(mode=0o700), "d/a": b"1"}, {"d": opaque()}],
     {"d": "dir 700"}),
    ("an opaque root", [{"a": b"1", "d/b": b"2"}, {"": opaque(), "c": b"3"}], {"c": "3"}),
    ("directory over directory", [{"d": directory(mode=0o700), "d/a": b"1"}, {"d": directory(mode=0o711)}],
     {"d": "dir 711", "d/a": "1"}),
    ("implied directory over directory", [{"d": directory(mode=0o700)}, {"d/a": b"1"}],
     {"d": "dir 700", "d/a": "1"}),
    ("file over directory", [{"d/a": b"1"}, {"d": b"file"}], {"d": "file"}),
    ("directory over file", [{"d": b"file"}, {"d/a": b"1"}], {"d": "dir 755", "d/a": "1"}),
    ("a file between hides what is below", [{"d/a": b"1"}, {"d": b"file"}, {"d/b": b"2"}],
     {"d": "dir 755", "d/b": "2"}),
    ("a removal between hides what is below", [{"d": directory(mode=0o700), "d/a": b"1"}, {"d": removed()},
     {"d": directory(mode=0o750)}], {"d": "dir 750"}),
    ("a link is replaced, not followed", [{"lib": symlink("usr/lib"), "usr/lib/a": b"1"}, {"lib/b": b"2"}],
     {"lib": "dir 755", "lib/b": "2", "usr": "dir 755", "usr/lib": "dir 755", "usr/lib/a": "1"}),
    ("removed and made anew at once", [{"d/a": b"1"}, {"d": removed(), "d/b": b"2"}], {"d": "dir 755", "d/b": "2"}),
    ("names that sort oddly", [{"a/b": b"1", "a-b": b"2", "a.b/c": b"3"}, {"a": directory(mode=0o1755)}],
     {"a": "dir 1755", "a/b": "1", "a-b": "2", "a.b": "dir 755", "a.b/c": "3"}),
]  # fmt: skip


@pytest.mark.parametrize("make", [tree_of, indexed_tree])
@pytest.mark.parametrize(("layers", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_stack_shows(make: object, layers: Layers, expected: dict[str, str]) -> None:
    tree: Tree = make(*layers)  # type: ignore[operator]
    assert shown(tree) == expected
    for path in expected:
        found = tree.lookup_nofollow(path)
        assert found is not None
        assert found.path == path
    one_by_one = Tree()
    for layer in tree.layers:
        one_by_one = one_by_one.with_changes(layer)
    assert shown(one_by_one) == expected
    flat = MemoryChanges(tuple(flatten(tree)), {})
    assert [entry.path for entry in Tree([flat]).walk()] == [entry.path for entry in tree.walk()]


def test_the_walk_is_in_order_and_can_begin_anywhere() -> None:
    tree = tree_of({"b/c/d": b"", "b/a": b"", "a": b""}, {"b/b": b""})
    assert [entry.path for entry in tree.walk()] == ["a", "b", "b/a", "b/b", "b/c", "b/c/d"]
    assert [entry.path for entry in tree.walk("b")] == ["b/a", "b/b", "b/c", "b/c/d"]
    assert list(tree.walk("a")) == list(tree.walk("none")) == []
    assert [entry.path for entry in tree.children("/b/")] == ["b/a", "b/b", "b/c"]
    assert [entry.path for entry in tree.children("")] == ["a", "b"]
    assert tree.children("a") == tree.children("none") == []


def test_the_root() -> None:
    assert tree_of({"a": b""}).lookup("/") == Entry(P(""), "dir", 0o755)
    assert Tree().lookup("") == Entry(P(""), "dir", 0o755)
    rooted = tree_of({"": directory(mode=0o700, uid=1)}, {"a": b""})
    assert rooted.lookup("") == Entry(P(""), "dir", 0o700, 1)


LINKS: dict[str, Item] = {
    "usr/bin/sh": b"shell",
    "bin": symlink("usr/bin"),
    "abs": symlink("/usr/bin"),
    "out": symlink("../../../usr"),
    "usr/up": symlink("../bin/sh"),
    "usr/bin/abs": symlink("/usr/up"),
    "chain": symlink("usr/up"),
    "loop": symlink("loop/x"),
    "ping": symlink("pong"),
    "pong": symlink("ping"),
    "dangling": symlink("usr/none/x"),
    "usr/bin/self": symlink("."),
    "to-file": symlink("usr/bin/sh/x"),
}


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("bin/sh", "usr/bin/sh"),
        ("/abs/sh", "usr/bin/sh"),
        ("out/bin/sh", "usr/bin/sh"),
        ("chain", "usr/bin/sh"),
        ("usr/bin/abs", "usr/bin/sh"),
        ("usr/bin/../up", "usr/bin/sh"),
        ("../../bin", "usr/bin"),
        ("usr/./bin//self/self/sh", "usr/bin/sh"),
        ("bin/..", "usr"),
        ("", ""),
    ],
)
def test_links_are_followed_inside_the_root(path: str, real: str) -> None:
    tree = tree_of(LINKS)
    found = tree.lookup(path)
    assert found is not None
    assert found.path == real
    assert tree.resolve(path) == real


@pytest.mark.parametrize("path", ["none", "usr/bin/sh/x", "dangling", "to-file", "usr/bin/none", "chain/x"])
def test_what_is_not_there(path: str) -> None:
    tree = tree_of(LINKS)
    assert tree.lookup(path) is None
    with pytest.raises(LayerError, match=f'there is no file "{path}"'):
        tree.open(path)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("bin/new/file", "usr/bin/new/file"),
        ("dangling", "usr/none/x"),
        ("dangling/y", "usr/none/x/y"),
        ("new/../bin/x", "usr/bin/x"),
        ("usr/bin/sh/x", "usr/bin/sh/x"),
    ],
)
def test_resolving_goes_on_behind_what_is_there(path: str, resolved: str) -> None:
    assert tree_of(LINKS).resolve(path) == resolved


@pytest.mark.parametrize("path", ["loop", "ping", "pong/x"])
def test_circles_of_links_end(path: str) -> None:
    for look in (tree_of(LINKS).lookup, tree_of(LINKS).resolve, tree_of(LINKS).children):
        with pytest.raises(LayerError, match=f'"{path}" leads through more than 40 symbolic links'):
            look(path)


def test_forty_links_are_followed_and_one_more_is_not() -> None:
    """As path_resolution(7) has it."""
    chain: dict[str, Item] = {f"l{number}": symlink(f"l{number + 1}") for number in range(41)}
    tree = tree_of({**chain, "l41": b"end"})
    found = tree.lookup("l1")
    assert found is not None
    assert found.path == "l41"
    with pytest.raises(LayerError):
        tree.lookup("l0")


def test_the_last_link_can_be_left_alone() -> None:
    tree = tree_of(LINKS)
    found = tree.lookup_nofollow("abs/self")
    assert found is not None
    assert (found.path, found.type) == ("usr/bin/self", "symlink")


@pytest.mark.parametrize("make", [tree_of, indexed_tree])
def test_hard_links_are_what_they_point_to(make: object) -> None:
    layers: Layers = [
        {"a": file(b"one", mode=0o600, uid=3), "b": hardlink("a"), "dir/c": hardlink("a")},
        {"a": b"two", "d": hardlink("a"), "s": symlink("a"), "t": hardlink("s")},
        {"b": removed(), "e": b"x", "f": hardlink("e")},
    ]
    tree: Tree = make(*layers)  # type: ignore[operator]
    assert shown(tree) == {
        "a": "two",
        "d": "two",
        "dir": "dir 755",
        "dir/c": "one",
        "e": "x",
        "f": "x",
        "s": "-> a",
        "t": "-> a",
    }
    assert tree.lookup("dir/c") == Entry(P("dir/c"), "file", 0o600, 3, size=3)
    changes = [change for change in flatten(tree) if isinstance(change, Upsert)]
    assert [(change.entry.path, change.entry.type, change.entry.link) for change in changes] == [
        ("a", "file", ""),
        ("d", "hardlink", "a"),
        ("dir", "dir", ""),
        ("dir/c", "file", ""),
        ("e", "file", ""),
        ("f", "hardlink", "e"),
        ("s", "symlink", "a"),
        ("t", "hardlink", "s"),
    ]


def test_a_link_whose_first_name_is_gone_becomes_the_file() -> None:
    tree = tree_of({"a": b"1", "b": hardlink("a"), "c": hardlink("a")}, {"a": removed()})
    changes = [change.entry for change in flatten(tree) if isinstance(change, Upsert)]
    assert changes == [Entry(P("b"), "file", size=1), Entry(P("c"), "hardlink", link="b")]
    source = tree.open_content(changes[0])
    assert not isinstance(source, int)
    assert source.read() == b"1"


def test_a_hard_link_to_another_layer_is_refused() -> None:
    """image-spec layer.md#hardlinks: the target is in the same layer; overlay's unpackers cannot do otherwise."""
    with pytest.raises(LayerError, match='the hard link "b" points to "a", which is no file of its layer'):
        tree_of({"a": b""}, {"b": hardlink("a")})


@pytest.mark.parametrize("make", [tree_of, indexed_tree])
def test_opening(make: object) -> None:
    tree: Tree = make({"a": b"1", "l": symlink("a"), "d": directory()}, {"b": b"2"})  # type: ignore[operator]
    assert tree.open("l").read() == b"1"
    entry = tree.lookup("b")
    assert entry is not None
    assert tree.open(entry).read() == b"2"
    for path in ("d", "", "none"):
        with pytest.raises(LayerError):
            tree.open(path)


def test_what_is_known_of_contents() -> None:
    tree = indexed_tree({"a": b"1", "l": symlink("a"), "h": hardlink("a")}).with_changes(changes_of({"b": b"2"}))
    assert tree.digest_of("a") == tree.digest_of("l") == tree.digest_of("h") == sha256_digest(b"1")
    assert tree.digest_of("b") is None  # bytes in memory tell nothing without being read
    assert tree.digest_of("none") is None
    assert tree.digest_of("") is None


def test_devices_and_attributes_come_through() -> None:
    tree = indexed_tree({"null": device("char", 1, 3), "x": file(b"", xattrs={"user.a": b"b"})})
    null, plain = tree.lookup("null"), tree.lookup("x")
    assert null is not None
    assert plain is not None
    assert null.device == (1, 3)
    assert plain.xattrs == {"user.a": b"b"}


def test_one_pass_over_several_layers(tmp_path: Path) -> None:
    tree = indexed_tree({f"a{n}": b"a%d" % n for n in range(9)}, {f"b{n}": b"b%d" % n for n in range(9)})
    tree = tree.with_changes(changes_of({"c": b"c", "a3": b"new"}))
    entries = [entry for entry in tree.walk() if entry.type == "file"][::-1]
    with tree.one_pass(entries, tmp_path) as open_content:
        for entry in entries:
            source = open_content(entry)
            assert not isinstance(source, int)
            assert source.read().decode() == ("new" if entry.path == "a3" else entry.path)


def test_a_change_set_in_any_order_still_works() -> None:
    """The normal form is asked for; what is not in it is brought into it, and its bytes are still found."""
    changes: list[Change] = [
        Upsert(Entry(P("z"), "file", size=1)),
        Upsert(Entry(P("d/f"), "file", size=1)),
        Upsert(Entry(P("a"), "hardlink", link="z")),
        Remove(P("x")),
        Opaque(P("d")),
    ]
    tree = tree_of({"x": b"", "d/old": b""}).with_changes(MemoryChanges(changes, {P("z"): b"Z", P("d/f"): b"F"}))
    assert shown(tree) == {"a": "Z", "d": "dir 755", "d/f": "F", "z": "Z"}


def test_a_deep_stack_is_cheap_to_look_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only layers that have something in a directory are asked about what is in it."""
    asked: list[str] = []
    code = Level.code

    def spy(level: Level, path: str) -> str:
        asked.append(path)
        return code(level, path)

    monkeypatch.setattr(Level, "code", spy)
    tree = Tree(changes_of({f"own{number}/x": b"", "shared/y": b""}) for number in range(100))
    assert tree.lookup("own50/x") is not None
    assert asked.count("own50") == 100
    assert asked.count("own50/x") == 1


def test_paths_nest_deeper_than_python_calls() -> None:
    """A path may have 4096 bytes, so 2048 directories."""
    deep = "/".join(["d"] * 2000)
    tree = Tree([changes_of({f"{deep}/file": b"content"})])
    entries = list(tree.walk())
    assert len(entries) == 2001
    assert Tree([changes_of({f"{deep}/file": b"content"})]).layer_of(entries[-1]) == 0
