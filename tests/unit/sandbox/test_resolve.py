"""Paths inside a root."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.sandbox import kernel
from pyoci.sandbox.resolve import open_inside, walk


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """/etc/passwd, /run -> /data/run (missing), /up -> ../../.., /etc/loop, /var/run -> ../run, /abs -> /etc."""
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "var").mkdir()
    (top / "etc/passwd").write_text("root")
    (tmp_path / "outside").write_text("outside")
    for name, target in {
        "run": "/data/run",
        "up": "../../..",
        "etc/loop": "loop",
        "var/run": "../run",
        "abs": "/etc",
        "far": f"{tmp_path}/outside",
    }.items():
        (top / name).symlink_to(target)
    descriptor = os.open(top, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "leads", "existing"),
    [
        ("/", "/", 0),
        ("", "/", 0),
        ("/etc/passwd", "/etc/passwd", 2),
        ("etc//./passwd/", "/etc/passwd", 2),
        ("/etc/missing/deep", "/etc/missing/deep", 1),
        ("/../../etc/passwd", "/etc/passwd", 2),
        ("/run/secrets/x", "/data/run/secrets/x", 0),
        ("/var/run/x", "/data/run/x", 0),
        ("/up/etc/passwd", "/etc/passwd", 2),
        ("/abs/passwd", "/etc/passwd", 2),
        ("/missing/../etc/passwd", "/etc/passwd", 2),
        ("/missing/../../etc/x", "/etc/x", 1),
        ("/etc/../var/run/..", "/data", 0),
    ],
)
def test_where_paths_lead(root: int, path: str, leads: str, existing: int) -> None:
    place = walk(root, path)
    assert (place.path, place.existing) == (leads, existing)
    assert place.exists == (existing == len(place.components))
    place.close()


def test_a_link_out_of_the_root_leads_back_into_it(root: int, tmp_path: Path) -> None:
    place = walk(root, "/far")
    assert place.path == f"{tmp_path}/outside"
    assert not place.exists
    place.close()
    with pytest.raises(FileNotFoundError):
        open_inside(root, "/far", follow=True)


@pytest.mark.parametrize(("path", "number"), [("/etc/loop", errno.ELOOP), ("/etc/passwd/x", errno.ENOTDIR)])
def test_what_leads_nowhere(root: int, path: str, number: int) -> None:
    with pytest.raises(OSError) as raised:
        walk(root, path)
    assert raised.value.errno == number
    with pytest.raises(OSError) as raised:
        open_inside(root, path, follow=True)
    assert raised.value.errno == number


def test_no_descriptor_is_left_open(root: int) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/etc/passwd", "/var/run/x", "/up/../abs/passwd", "/etc/missing"):
        walk(root, path).close()
    for path in ("/etc/loop", "/etc/passwd/x"):
        with pytest.raises(OSError):
            walk(root, path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("has_openat2", [True, False])
@pytest.mark.parametrize("follow", [True, False])
def test_both_ways_of_opening_agree(
    root: int, monkeypatch: pytest.MonkeyPatch, has_openat2: bool, follow: bool
) -> None:
    if not has_openat2:
        monkeypatch.delitem(kernel.NUMBERS, "openat2")
    found = {}
    for path in ("/etc/passwd", "/abs", "/abs/passwd", "/run", "/up/etc", "/", "etc/..", "/none", "/etc/loop"):
        try:
            descriptor = open_inside(root, path, follow=follow)
        except OSError as error:
            found[path] = errno.errorcode[error.errno or 0]
        else:
            found[path] = str(Path(f"/proc/self/fd/{descriptor}").readlink()).rpartition("/root")[2] or "/"
            os.close(descriptor)
    assert found == {
        "/etc/passwd": "/etc/passwd",
        "/abs": "/etc" if follow else "/abs",
        "/abs/passwd": "/etc/passwd",
        "/run": "ENOENT" if follow else "/run",
        "/up/etc": "/etc",
        "/": "/",
        "etc/..": "/",
        "/none": "ENOENT",
        "/etc/loop": "ELOOP" if follow else "/etc/loop",
    }
