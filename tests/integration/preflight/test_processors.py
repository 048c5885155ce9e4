"""Programs for another processor than their image's platform promises, on such a processor."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.preflight.gallery import read_cases

BROKEN = {case.name: case for case in read_cases(Path(__file__).parent / "broken.txt")}


pytestmark = [pytest.mark.needs_go, pytest.mark.needs_cc, pytest.mark.needs_git, pytest.mark.needs_qemu]


def program_of(case: str, programs: Path) -> Path:
    return programs / BROKEN[case].dockerfile.split("COPY ")[1].split()[0]


@pytest.mark.parametrize(
    ("case", "emulator", "older", "enough"),
    [
        ("for-a-newer-processor", "qemu-x86_64-static", "Nehalem", "max"),
        ("for-a-newer-arm", "qemu-arm-static", "arm1176", "cortex-a15"),
    ],
)
def test_a_program_for_a_newer_processor_ends_on_an_older_one(
    programs: Path, case: str, emulator: str, older: str, enough: str
) -> None:
    assert "(WrongVariant)" in BROKEN[case].findings
    program = program_of(case, programs)

    def ran(processor: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([emulator, "-cpu", processor, program], capture_output=True, timeout=60, check=False)

    assert ran(older).returncode != 0
    assert ran(enough).returncode == 0


def test_a_program_for_amd64_does_not_run_where_arm64_does(programs: Path) -> None:
    case = "for-amd64-in-an-arm64-image"
    assert "(WrongArchitecture)" in BROKEN[case].findings

    def ran(program: Path) -> int:
        return subprocess.run(["qemu-aarch64-static", program], capture_output=True, timeout=60, check=False).returncode

    assert ran(program_of(case, programs)) != 0
    assert ran(programs / "go-arm64") == 0
