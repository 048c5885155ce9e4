from __future__ import annotations

import pytest

from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.tree import Tree
from pyoci.preflight.access import Obstacle, may_execute, may_read, may_write, reach
from pyoci.preflight.accounts import ROOT_ACCOUNT, Account
from tests.builders import Item, changes_of, directory, symlink

OWNER, MEMBER, OTHER = (
    Account(5, 50, frozenset({50})),
    Account(6, 60, frozenset({60, 7})),
    Account(8, 80, frozenset({80})),
)


def entry(mode: int, kind: str = "file") -> Entry:
    return Entry(LayerPath("x"), kind, mode, 5, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("account", "bits"), [(OWNER, 0o100), (MEMBER, 0o010), (OTHER, 0o001)], ids=["owner", "group", "others"]
)
def test_only_the_bits_of_the_first_class_that_fits_count(account: Account, bits: int) -> None:
    for check, one in ((may_execute, 1), (may_write, 2), (may_read, 4)):
        assert check(entry(bits * one), account)
        assert not check(entry(0o777 & ~(bits * 7)), account)
        assert not check(entry(bits * (7 & ~one)), account)


def test_root_reads_and_writes_everything_and_executes_what_anybody_may() -> None:
    assert may_read(entry(0), ROOT_ACCOUNT)
    assert may_write(entry(0), ROOT_ACCOUNT)
    assert not may_execute(entry(0o666), ROOT_ACCOUNT)
    for bit in (0o100, 0o010, 0o001):
        assert may_execute(entry(bit), ROOT_ACCOUNT)


def test_making_files_in_a_directory_needs_searching_it() -> None:
    assert may_write(entry(0o300, "dir"), OWNER)
    assert not may_write(entry(0o200, "dir"), OWNER)


ITEMS: dict[str, Item] = {
    "usr/bin/app": b"",
    "bin": symlink("usr/bin"),
    "up": symlink("../../usr"),
    "absolute": symlink("/usr/bin/app"),
    "loop": symlink("loop"),
    "gone": symlink("nowhere/at/all"),
    "closed": directory(mode=0o700),
    "closed/app": b"",
    "closed/open": directory(),
    "through": symlink("closed/app"),
    "proc/version": b"",
}


@pytest.mark.parametrize(
    ("path", "start", "where", "obstacle"),
    [
        ("/usr/bin/app", "/", "/usr/bin/app", None),
        ("bin/app", "/", "/usr/bin/app", None),
        ("./app", "/usr/bin", "/usr/bin/app", None),
        ("../bin/app", "/usr/lib", "/usr/lib", "missing"),
        ("//usr//./bin/../bin/app", "/", "/usr/bin/app", None),
        ("/../../usr/bin/app", "/", "/usr/bin/app", None),
        ("/up/bin/app", "/", "/usr/bin/app", None),
        ("/absolute", "/", "/usr/bin/app", None),
        ("/", "/", "/", None),
        ("/usr/", "/", "/usr", None),
        ("/usr/bin/app/", "/", "/usr/bin/app", "not a directory"),
        ("/usr/bin/app/x", "/", "/usr/bin/app", "not a directory"),
        ("/loop", "/", "/loop", "loop"),
        ("/gone", "/", "/nowhere", "missing"),
        ("/closed", "/", "/closed", None),
        ("/closed/app", "/", "/closed", "not searchable"),
        ("/closed/open/x", "/", "/closed", "not searchable"),
        ("/through", "/", "/closed", "not searchable"),
        ("/closed/../usr", "/", "/usr", None),
        ("/proc/self/exe", "/", "/proc", "elsewhere"),
    ],
)
def test_paths_are_followed_as_the_kernel_does(path: str, start: str, where: str, obstacle: Obstacle | None) -> None:
    tree = Tree([changes_of(ITEMS)])
    reached = reach(tree, path, OTHER, start=start)
    assert (reached.path, reached.obstacle) == (where, obstacle)


def test_root_searches_closed_directories() -> None:
    assert reach(Tree([changes_of(ITEMS)]), "/through", ROOT_ACCOUNT).path == "/closed/app"


def test_links_on_the_way_are_told() -> None:
    reached = reach(Tree([changes_of(ITEMS)]), "/bin/app", OTHER)
    assert reached.links == ("/bin -> usr/bin",)
    assert reached.via == " (through the link /bin -> usr/bin)"


@pytest.mark.parametrize(("links", "obstacle"), [(40, None), (41, "loop")])
def test_forty_links_are_followed(links: int, obstacle: str | None) -> None:
    items: dict[str, Item] = {f"l{number}": symlink(f"l{number + 1}") for number in range(links)}
    tree = Tree([changes_of({**items, f"l{links}": b""})])
    assert reach(tree, "/l0", OTHER).obstacle == obstacle
