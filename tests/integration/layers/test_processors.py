"""The bytes of a layer do not depend on the processor that compressed it: seen with processors that qemu-user plays."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from tests.integration.accounts import ROOT

QEMU = "/usr/bin/qemu-x86_64-static"

pytestmark = [
    pytest.mark.needs_binfmt,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the processors played are of x86-64"),
]

PROCESSORS = (
    "qemu64,-sse4.1,-sse4.2,-ssse3",
    "Nehalem",
    "SandyBridge",
    "Haswell",
    "EPYC",
    "max",
)
"""From the first of the architecture to all that qemu knows; libraries have code of their own for several."""

COMPRESS = """\
import io, random, sys
from pyoci.layer.compressor import LayerOutput

words = random.Random(1)
text = b" ".join(b"%x" % words.getrandbits(words.choice((4, 8, 16))) for _ in range(300_000))
noise = words.randbytes(700_000)
for compression in ("gzip", "zstd"):
    with LayerOutput(io.BytesIO(), compression, None) as output:
        for piece in (text, noise, bytes(2_000_000), text[: len(text) // 2], noise[:1]):
            output.write(piece)
        print(compression, output.finish().digest)
"""


def digests(*prefix: str) -> str:
    result = subprocess.run(
        [*prefix, os.path.realpath(sys.executable), "-c", COMPRESS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def here() -> str:
    return digests()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_processor_gives_the_same_bytes(processor: str, here: str) -> None:
    assert here.count("sha256:") == 2
    assert digests(QEMU, "-cpu", processor) == here
