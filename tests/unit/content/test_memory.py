from __future__ import annotations

from collections.abc import Callable

import pytest

from pyoci.content import MemoryContent
from tests.content_laws import STORAGE_LAWS, Storage, descriptor_of


@pytest.mark.parametrize("law", STORAGE_LAWS)
def test_memory_keeps_the_laws(law: Callable[[Storage], None]) -> None:
    law(MemoryContent())


def test_memory_can_be_given_blobs() -> None:
    memory = MemoryContent([b"a", b"b"])
    assert memory.has(descriptor_of(b"b"))
    added = memory.add(b"c", "text/plain")
    assert added == descriptor_of(b"c", "text/plain")
    assert memory.open(added).read() == b"c"
