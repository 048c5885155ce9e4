from __future__ import annotations

from pyoci.inspection.budget import breaches, growth
from pyoci.inspection.sizes import FileSize, WastedFile
from tests.builders import Item, directory, file, hardlink, opaque, removed, symlink
from tests.unit.inspection.seen import sizes_of


def test_where_the_bytes_are() -> None:
    size = sizes_of({"a/b": b"12345", "a/c": b"123", "l": symlink("a")}, {"d": b"1", "a/c": b"12"})
    assert size.files == (FileSize("/a/b", 5, 0), FileSize("/a/c", 2, 1), FileSize("/d", 1, 1))
    assert size.directories() == {"/": 8, "/a": 7}
    assert [(layer.size, layer.wasted_size, layer.files) for layer in size.layers] == [(8, 3, 2), (3, 0, 2)]
    assert (size.size, size.visible_size, size.wasted_size) == (11, 8, 3)
    assert round(size.efficiency, 4) == 0.7273
    assert size.compressed_size == sum(layer.compressed_size for layer in size.layers)
    assert [layer.created_by for layer in size.layers] == ["layer 0", "layer 1"]


def test_what_a_later_layer_hides_is_wasted() -> None:
    size = sizes_of(
        {"gone": b"1", "dir/in": b"22", "old": b"333", "opaque/x": b"4444", "file/y": b"55555", "kept": b"6"},
        {"unrelated": b"7"},
        {"gone": removed(), "dir": removed(), "old": b"333", "opaque": opaque(), "file": b""},
        {"old": b"new"},
    )
    assert size.wasted == (
        WastedFile("/file/y", 5, 0, 2, "removed"),
        WastedFile("/opaque/x", 4, 0, 2, "removed"),
        WastedFile("/old", 3, 0, 2, "rewritten"),
        WastedFile("/old", 3, 2, 3, "rewritten"),
        WastedFile("/dir/in", 2, 0, 2, "removed"),
        WastedFile("/gone", 1, 0, 2, "removed"),
    )


def test_a_change_of_mode_costs_the_whole_file() -> None:
    """What chmod in a RUN of its own does: the copy is the same, and the first one is wasted."""
    size = sizes_of({"big": file(b"x" * 1000)}, {"big": file(b"x" * 1000, mode=0o755)})
    assert (size.size, size.visible_size, size.wasted_size) == (2000, 1000, 1000)


def test_a_file_with_several_names_counts_once_and_is_wasted_when_the_last_is_gone() -> None:
    links: dict[str, Item] = {"a": b"12345", "b": hardlink("a"), "c": hardlink("a")}
    kept = sizes_of(links, {"a": removed()})
    assert kept.files == (FileSize("/b", 5, 0),)
    assert kept.wasted == ()
    gone = sizes_of(links, {"a": removed()}, {"b": removed(), "c": directory()})
    assert gone.wasted == (WastedFile("/a", 5, 0, 2, "removed"),)
    assert gone.visible_size == 0


def test_an_image_without_layers_has_no_bytes() -> None:
    size = sizes_of()
    assert (size.size, size.wasted_size, size.efficiency, size.directories()) == (0, 0, 1.0, {"/": 0})


def test_what_grew_is_told_from_the_most_to_the_least() -> None:
    before = sizes_of({"same": b"1", "less": b"123", "gone": b"12", "more": b"1"}, name="old")
    after = sizes_of({"same": b"2", "less": b"1", "more": b"1234", "new": b"12345"}, name="new")
    grown = growth(before, after, "size")
    assert [(path.path, path.before, path.after, path.change) for path in grown.paths] == [
        ("/new", 0, 5, 5),
        ("/more", 1, 4, 3),
        ("/gone", 2, 0, -2),
        ("/less", 3, 1, -2),
    ]
    assert (grown.against, grown.before, grown.after, grown.change) == ("old", 7, 11, 4)
    assert round(grown.percent, 2) == 57.14
    nothing = sizes_of()
    assert growth(nothing, after, "size").percent == float("inf")
    assert growth(nothing, nothing, "size").percent == 0


def test_a_budget_is_exceeded_by_more_and_not_by_as_much() -> None:
    before, after = sizes_of({"a": b"1" * 100}), sizes_of({"a": b"1" * 105})
    grown = growth(before, after, "size")

    def found(size: int | None, limit: float | int | None) -> list[tuple[str, int, int]]:
        return [
            (each.budget, each.allowed, each.actual)
            for each in breaches(
                after,
                grown,
                max_size=("S", size) if size is not None else None,
                max_growth=("G", limit) if limit is not None else None,
                measure="size",
            )
        ]

    assert found(105, 5.0) == []
    assert found(104, None) == [("max-size", 104, 105)]
    assert found(None, 4.9) == [("max-growth", 4, 5)]
    assert found(None, 4) == [("max-growth", 4, 5)]
    assert found(None, 5) == []
    assert found(0, 0) == [("max-size", 0, 105), ("max-growth", 0, 5)]
