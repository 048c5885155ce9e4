"""The stand-in bases are what the tests take them for."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.integration.bases import busybox_base, host_apt_source

ONE_LINE = """\
# deb http://commented.example/debian trixie main
deb [signed-by=/usr/share/keyrings/x.gpg arch=amd64] http://other.example/apt stable main
deb http://mirror.example/debian trixie main contrib
"""

STANZAS = """\
Types: deb
URIs: http://security.example/debian-security
Suites: trixie-security
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main
"""


@pytest.mark.parametrize(
    ("name", "text"), [("sources.list", ONE_LINE), ("sources.list.d/debian.sources", STANZAS)], ids=["lines", "stanzas"]
)
def test_the_mirror_is_that_of_the_hosts_own_release(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "apt" / name).parent.mkdir(parents=True)
    (tmp_path / "apt" / name).write_text(text)
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=trixie\n")
    source = host_apt_source(tmp_path / "apt", tmp_path / "os-release")
    assert source.line() == "deb http://mirror.example/debian trixie main\n"


def test_a_host_without_sources_gets_the_public_mirror(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("VERSION_CODENAME=trixie\n")
    assert host_apt_source(tmp_path, tmp_path / "os-release").line() == "deb http://deb.debian.org/debian trixie main\n"


def test_busybox_has_a_shell_and_a_user(busybox_tar: Path) -> None:
    with tarfile.open(busybox_tar) as archive:
        names = archive.getnames()
        assert archive.getmember("bin/sh").linkname == "busybox"
    assert "etc/passwd" in names
    assert len(names) == len(set(names))


@pytest.mark.needs_apt
def test_debian_brings_no_device_nodes(debian_tar: Path) -> None:
    with tarfile.open(debian_tar) as archive:
        assert not [member.name for member in archive if member.isdev()]
        assert archive.extractfile("./etc/apt/sources.list")


def test_a_base_is_made_once(tmp_path: Path) -> None:
    first = busybox_base(tmp_path)
    made = first.stat().st_ino
    assert busybox_base(tmp_path).stat().st_ino == made
