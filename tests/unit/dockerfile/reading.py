"""Short ways to read a Dockerfile in a test."""

from __future__ import annotations

from typing import TypeVar

import pytest

from pyoci.dockerfile.instructions import Dockerfile, Instruction
from pyoci.dockerfile.parser import decode_source, parse_dockerfile
from pyoci.errors import DockerfileError, PyociError

I = TypeVar("I", bound=Instruction)  # noqa: E741 -- any one kind of instruction


def read(text: str | bytes) -> Dockerfile:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return parse_dockerfile(decode_source("Dockerfile", raw))


def first(kind: type[I], text: str, *, top: str = "FROM scratch\n") -> I:
    """The only instruction of a stage."""
    (instruction,) = read(top + text).stages[0].instructions
    assert isinstance(instruction, kind)
    return instruction


def faults(text: str | bytes) -> list[PyociError]:
    """Every error of a Dockerfile."""
    with pytest.raises(DockerfileError) as caught:
        read(text)
    return [caught.value, *caught.value.others]


def messages(text: str | bytes) -> list[str]:
    return [fault.message for fault in faults(text)]


def place(fault: PyociError) -> tuple[int, int, int]:
    """Line, column and length of what an error points at."""
    assert fault.location is not None
    return fault.location.line, fault.location.column, fault.location.length
