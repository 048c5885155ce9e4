"""Memory of a process, which here is this one."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from pyoci.sandbox.process_memory import ProcessMemory

PAGE = mmap.PAGESIZE


@pytest.fixture(autouse=True)
def in_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")


@pytest.fixture
def memory() -> ProcessMemory:
    return ProcessMemory()


def address_of(area: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def descriptors() -> set[str]:
    return {path.name for path in Path("self/fd").iterdir()}


@pytest.mark.parametrize("how", ["path", "glimpse"])
@pytest.mark.parametrize("size", [0, 1, 191, 192, 193, 4095])
@pytest.mark.parametrize("offset", [0, 1, PAGE - 1, PAGE - 100])
def test_paths(memory: ProcessMemory, how: str, size: int, offset: int) -> None:
    area = mmap.mmap(-1, 3 * PAGE)
    text = bytes(1 + number % 255 for number in range(size))
    area[offset : offset + size + 2] = text + b"\0x"
    assert getattr(memory, how)(os.getpid(), address_of(area) + offset) == text


@pytest.mark.parametrize("how", ["path", "glimpse"])
def test_what_is_no_path(memory: ProcessMemory, how: str) -> None:
    area = mmap.mmap(-1, 3 * PAGE)
    area[:] = b"x" * (3 * PAGE)
    with pytest.raises(OSError, match="File name too long"):
        getattr(memory, how)(os.getpid(), address_of(area))
    for address in (16, 1 << 55):
        with pytest.raises(OSError, match=r"Bad address|Input/output error"):
            getattr(memory, how)(os.getpid(), address)


def test_an_address_of_aarch64_may_have_a_tag(memory: ProcessMemory) -> None:
    area = mmap.mmap(-1, PAGE)
    area[:5] = b"path\0"
    assert memory.path(os.getpid(), address_of(area) | 0xB4 << 56) == b"path"


def test_reading_and_writing(memory: ProcessMemory) -> None:
    area = mmap.mmap(-1, 4 * PAGE)
    area[:] = os.urandom(4 * PAGE)
    assert memory.read(os.getpid(), address_of(area) + 5, 3 * PAGE) == area[5 : 3 * PAGE + 5]
    memory.write(os.getpid(), address_of(area) + PAGE - 2, b"abcd")
    assert area[PAGE - 2 : PAGE + 2] == b"abcd"
    for use in (lambda: memory.read(os.getpid(), 16, 4), lambda: memory.write(os.getpid(), 16, b"x")):
        with pytest.raises(OSError, match="Bad address"):
            use()


def test_what_is_kept_open_is_let_go(memory: ProcessMemory) -> None:
    area = mmap.mmap(-1, PAGE)
    before = descriptors()
    memory.glimpse(os.getpid(), address_of(area))
    assert len(descriptors() - before) == 1
    memory.forget(os.getpid())
    memory.forget(os.getpid())
    assert not descriptors() - before
