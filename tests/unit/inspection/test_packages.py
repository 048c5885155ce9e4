from __future__ import annotations

import sqlite3
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyoci.errors import ContentError
from pyoci.inspection.files_diff import file_changes
from pyoci.inspection.package_lists import apk_packages, dpkg_packages, python_package
from pyoci.inspection.packages_diff import package_changes
from pyoci.inspection.rpm_database import header_package, rpm_packages
from pyoci.layer.tree import Tree
from pyoci.preflight.reading import Files
from tests.builders import Item, symlink
from tests.elf_builder import ElfSpec, make_elf
from tests.unit.inspection.seen import tree_of
from tests.unit.preflight.looking import executable
from tests.unit.preflight.test_go_build import inline

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: library
 Version: in the text
 .

Package: old
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2024a-0
"""
APK = """\
C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
F:lib
R:ld-musl-x86_64.so.1
Z:Q1V:x

P:busybox
V:1.36.1-r5
"""


MARK = bytes(16)
"""What stands before and behind the module text, whatever it is."""


def go_program(*dependencies: tuple[str, str]) -> bytes:
    text = "path\texample.com/app\nmod\texample.com/app\t(devel)\t\n"
    text += "".join(f"dep\t{name}\t{version}\th1:x=\n" for name, version in dependencies)
    return make_elf(ElfSpec(sections={".go.buildinfo": inline(b"go1.22.1", MARK + text.encode() + MARK)}))


def told(before: Tree, after: Tree, warnings: list[str] | None = None) -> list[tuple[str, str, str | None, str | None]]:
    changes = list(file_changes(before, after))
    told_of: list[str] = [] if warnings is None else warnings
    found = package_changes(Files(before), Files(after), changes, warn=told_of.append)
    return [(f"{each.system} {each.place}".strip(), each.name, each.before, each.after) for each in found]


def test_dpkg_knows_what_is_installed() -> None:
    assert dpkg_packages(STATUS) == {"libc6:amd64": "2.36-9", "tzdata:all": "2024a-0"}
    assert dpkg_packages("Package: base-files\nVersion: 12\nArchitecture: amd64\n") == {"base-files:amd64": "12"}
    assert dpkg_packages("") == dpkg_packages("\n\n:\nx\n") == {}
    assert dpkg_packages("Package: a\nStatus:\nVersion: 1\n") == {}


def test_apk_knows_what_is_installed() -> None:
    assert apk_packages(APK) == {"musl": "1.2.4-r2", "busybox": "1.36.1-r5"}
    assert apk_packages("V:1\n\nP:a\n") == {}


@pytest.mark.parametrize(
    ("directory", "package"),
    [
        ("requests-2.31.0.dist-info", ("requests", "2.31.0")),
        ("ruamel.yaml-0.18.6.dist-info", ("ruamel-yaml", "0.18.6")),
        ("Flask_Login-0.6.3.dist-info", ("flask-login", "0.6.3")),
        ("torch-2.1.0+cpu.dist-info", ("torch", "2.1.0+cpu")),
        ("six-1.16.0-py3.11.egg-info", ("six", "1.16.0")),
        ("PyYAML-6.0.egg-info", ("pyyaml", "6.0")),
        ("dist-info", None),
        ("notes.txt", None),
    ],
)
def test_python_packages_are_known_by_their_metadata(directory: str, package: tuple[str, str] | None) -> None:
    assert python_package(directory) == package


def header(values: Mapping[int, str | int]) -> bytes:
    """A header of rpm as format_header.md draws it: count, size of the store, index entries, store."""
    index, store = b"", b""
    for tag, value in values.items():
        kind, raw = (4, struct.pack(">I", value)) if isinstance(value, int) else (6, value.encode() + b"\0")
        store += b"\0" * (-len(store) % 4 if kind == 4 else 0)
        index += struct.pack(">IIiI", tag, kind, len(store), 1)
        store += raw
    return struct.pack(">II", len(values), len(store)) + index + store


BASH = header({1000: "bash", 1001: "5.2.15", 1002: "3.fc39", 1022: "x86_64", 9999: "other"})


def test_a_header_names_its_package() -> None:
    assert header_package(BASH) == ("bash.x86_64", "5.2.15-3.fc39")
    assert header_package(header({1000: "a", 1001: "1", 1002: "2", 1003: 4})) == ("a", "4:1-2")
    assert header_package(header({1001: "1"})) is None


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\0" * 7, BASH[:20], BASH[:-1], struct.pack(">IIIIiI", 1, 4, 1000, 6, 99, 1) + b"abc\0", b"\xff" * 64],
)
def test_a_damaged_header_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|subsection"):
        header_package(damaged)


TABLE = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)"


def database(path: Path, *blobs: bytes, table: str = TABLE) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(table)
    for blob in blobs:
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def test_rpm_packages_come_out_of_its_database(tmp_path: Path) -> None:
    kernels = [header({1000: "kernel", 1001: str(number), 1002: "1"}) for number in (2, 1)]
    key = header({1000: "gpg-pubkey", 1001: "abc", 1002: "1"})
    assert rpm_packages(database(tmp_path / "db", BASH, key, *kernels)) == {
        "bash.x86_64": "5.2.15-3.fc39",
        "kernel": "1-1, 2-1",
    }


def test_a_database_that_is_none_or_plays_tricks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="not in SQLite's format"):
        rpm_packages(b"Berkeley")
    with pytest.raises(ContentError, match="cannot be read"):
        rpm_packages(b"SQLite format 3\0" + b"\xff" * 5000)
    endless = (
        "CREATE VIEW Packages AS WITH RECURSIVE n(hnum) AS (SELECT 1 UNION ALL SELECT hnum + 1 FROM n) "
        "SELECT hnum, x'00' AS blob FROM n"
    )
    with pytest.raises(ContentError, match="no table of packages"):
        rpm_packages(database(tmp_path / "view", table=endless))
    virtual = "CREATE VIRTUAL TABLE Packages USING fts5(hnum, blob)"
    connection = sqlite3.connect(tmp_path / "virtual")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("INSERT INTO sqlite_schema VALUES ('table', 'Packages', 'Packages', 0, ?)", (virtual,))
    connection.commit()
    connection.close()
    with pytest.raises(ContentError, match="no table of packages"):
        rpm_packages((tmp_path / "virtual").read_bytes())


def test_what_changed_is_told_by_system(tmp_path: Path) -> None:
    python = "usr/lib/python3/site-packages"
    before: dict[str, Item] = {
        "var/lib/dpkg/status": STATUS.encode(),
        "var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12\nArchitecture: amd64\n",
        "lib/apk/db/installed": APK.encode(),
        "usr/lib/sysimage/rpm/rpmdb.sqlite": database(tmp_path / "one", BASH),
        "var/lib/rpm": symlink("../../usr/lib/sysimage/rpm"),
        f"{python}/requests-2.31.0.dist-info/METADATA": b"",
        f"{python}/six-1.16.0.egg-info": b"",
        "app": executable(go_program(("example.com/dep", "v1.0.0"))),
        "same": executable(go_program()),
    }
    after: dict[str, Item] = {
        "var/lib/dpkg/status": STATUS.replace("2.36-9", "2.36-10").encode(),
        "var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12\nArchitecture: amd64\n",
        "var/lib/dpkg/status.d/netbase": b"Package: netbase\nVersion: 6.4\nArchitecture: all\n",
        "lib/apk/db/installed": APK.replace("P:busybox", "P:bash").encode(),
        "usr/lib/sysimage/rpm/rpmdb.sqlite": database(tmp_path / "two"),
        "var/lib/rpm": symlink("../../usr/lib/sysimage/rpm"),
        f"{python}/requests-2.32.0.dist-info/METADATA": b"",
        "app": executable(go_program(("example.com/dep", "v1.1.0"), ("example.com/new", "v0.1.0"))),
        "same": executable(go_program()),
    }
    assert told(tree_of(before), tree_of(after)) == [
        ("dpkg", "libc6:amd64", "2.36-9", "2.36-10"),
        ("dpkg", "netbase:all", None, "6.4"),
        ("apk", "bash", None, "1.36.1-r5"),
        ("apk", "busybox", "1.36.1-r5", None),
        ("rpm", "bash.x86_64", "5.2.15-3.fc39", None),
        (f"python /{python}", "requests", "2.31.0", "2.32.0"),
        (f"python /{python}", "six", "1.16.0", None),
        ("go /app", "example.com/dep", "v1.0.0", "v1.1.0"),
        ("go /app", "example.com/new", None, "v0.1.0"),
    ]


def test_a_database_that_cannot_be_read_is_told() -> None:
    warnings: list[str] = []
    path = "var/lib/rpm/rpmdb.sqlite"
    assert told(tree_of({}), tree_of({path: b"junk"}), warnings) == []
    assert warnings == [f"/{path}: the rpm database cannot be read: it is not in SQLite's format"]
    warnings.clear()
    assert told(tree_of({}), tree_of({"var/lib/rpm/Packages": b"Berkeley"}), warnings) == []
    assert warnings == ["/var/lib/rpm/Packages: rpm's older databases are not read, so its packages are not compared"]
