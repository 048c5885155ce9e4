"""What importing a module does not import: the price of heavy packages is paid by those who use them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    *("requests", "jsonschema", "referencing", "rich", "zlib_ng", "isal", "backports.zstd"),
    *("concurrent.futures", "tarfile"),
)

LIGHT = ("pyoci.image.schema", "pyoci.content", "pyoci.reference", "pyoci.platforms")


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == []
