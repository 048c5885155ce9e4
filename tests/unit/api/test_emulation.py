"""Which processors' programs can be executed, told from the kernel's table of emulators as it shows it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pyoci.api.emulation import Emulator, can_run, registered_emulators
from pyoci.api.smallest_programs import ARCHITECTURES, elf_header, smallest_program
from pyoci.platforms import Platform

HERE = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PATTERNS = {
    "arm64": ("7f454c460201010000000000000000000200b700", "ffffffffffffff00fffffffffffffffffeffffff"),
    "arm": ("7f454c4601010100000000000000000002002800", "ffffffffffffff00fffffffffffffffffeffffff"),
    "s390x": ("7f454c4602020100000000000000000000020016", "ffffffffffffff00fffffffffffffffffffeffff"),
    "riscv64": ("7f454c460201010000000000000000000200f300", "ffffffffffffff00fffffffffffffffffeffffff"),
    "ppc64le": ("7f454c4602010100000000000000000002001500", "ffffffffffffff00fffffffffffffffffeffff00"),
    "mips64le": ("7f454c4602010100000000000000000002000800", "ffffffffffffff00fffffffffffffffffeffffff"),
    "386": ("7f454c4601010100000000000000000002000300", "fffffffffffefe00fffffffffffffffffeffffff"),
    "loong64": ("7f454c4602010100000000000000000002000201", "fffffffffffffffc00fffffffffffffffeffffff"),
}
"""qemu's own (scripts/qemu-binfmt-conf.sh), as Debian's qemu-user-static registers them."""


def table(directory: Path, status: str = "enabled") -> Path:
    directory.mkdir()
    (directory / "status").write_text(status + "\n")
    (directory / "register").write_text("")
    return directory


def entry(directory: Path, name: str, architecture: str, flags: str = "F", state: str = "enabled") -> None:
    magic, mask = PATTERNS[architecture]
    text = f"{state}\ninterpreter /usr/bin/{name}\nflags: {flags}\noffset 0\nmagic {magic}\nmask {mask}\n"
    (directory / name).write_text(text)


@pytest.mark.parametrize("architecture", PATTERNS)
def test_an_emulator_is_known_by_what_it_takes_and_not_by_its_name(tmp_path: Path, architecture: str) -> None:
    binfmt = table(tmp_path / "binfmt")
    entry(binfmt, "anything", architecture)
    assert registered_emulators(binfmt) == (Emulator("anything", "/usr/bin/anything", "F", (architecture,)),)
    runs = {one: can_run(Platform("linux", one), HERE, scratch=tmp_path, binfmt=binfmt) for one in ARCHITECTURES}
    assert {one for one, can in runs.items() if can} == {architecture, "amd64", "386"}


def test_what_the_kernel_would_not_use_does_not_count(tmp_path: Path) -> None:
    binfmt = table(tmp_path / "binfmt")
    entry(binfmt, "not-fixed", "arm64", flags="OC")
    entry(binfmt, "disabled", "riscv64", state="disabled")
    (binfmt / "by-name").write_text("enabled\ninterpreter /usr/bin/mono\nflags:\nextension .exe\n")
    (binfmt / "broken").write_text("enabled\ninterpreter /x\nmagic zz\n")
    assert [one.name for one in registered_emulators(binfmt)] == ["not-fixed"]
    assert not can_run(ARM64, HERE, scratch=tmp_path, binfmt=binfmt)
    assert not can_run(Platform("linux", "riscv64"), HERE, scratch=tmp_path, binfmt=binfmt)
    off = table(tmp_path / "off", status="disabled")
    entry(off, "qemu-aarch64", "arm64")
    assert not can_run(ARM64, HERE, scratch=tmp_path, binfmt=off)


def test_other_systems_and_processors_that_nobody_knows(tmp_path: Path) -> None:
    for platform in (Platform("windows", "amd64"), Platform("linux", "z80")):
        assert not can_run(platform, HERE, scratch=tmp_path, binfmt=tmp_path / "none")
    assert can_run(Platform("linux", "386"), HERE, scratch=tmp_path, binfmt=tmp_path / "none")
    assert can_run(Platform("linux", "arm", "v7"), ARM64, scratch=tmp_path, binfmt=tmp_path / "none")
    assert registered_emulators(tmp_path / "none") == ()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_smallest_programs_are_whole(architecture: str) -> None:
    """As far as the header goes; that they run is seen with the emulators (integration/test_binfmt.py)."""
    bits, little, machine, _, code = ARCHITECTURES[architecture]
    raw = smallest_program(architecture)
    order, word = "<" if little else ">", "Q" if bits == 64 else "I"
    kind, found, version, start, segments = struct.unpack_from(f"{order}HHI{word}{word}", raw, 16)
    assert (kind, found, version) == (2, machine, 1)
    assert segments == len(elf_header(architecture))
    assert raw[start - 0x10000 :] == bytes.fromhex(code)
    assert raw.startswith(elf_header(architecture))
