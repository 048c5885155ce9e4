"""Paths of images for Windows."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.windows_paths import is_absolute, with_backslashes, without_drive
from pyoci.errors import DockerfileError


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("C:\\a\\b", "/a/b"),
        ("c:/a", "/a"),
        ("\\a\\", "/a/"),
        ("C:a", "a"),
        ("a\\b", "a/b"),
        (".", "."),
        ("", ""),
        ("C:\\", "/"),
    ],
)
def test_what_is_left_without_the_drive(path: str, found: str) -> None:
    assert without_drive(path) == found
    assert is_absolute(path) == found.startswith("/")


@pytest.mark.parametrize("path", ["d:\\a", "C:", "d:", "\\\\host\\share", "//host/share", "http://host/a"])
def test_what_is_not_on_the_system_drive(path: str) -> None:
    with pytest.raises(DockerfileError):
        without_drive(path)
    assert not is_absolute(path)


def test_as_windows_writes_it() -> None:
    assert with_backslashes("/a/b") == "\\a\\b"
