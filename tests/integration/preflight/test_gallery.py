"""Every fault is found and named as promised, every sound image passes, and the kernel agrees with both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.preflight.gallery import Case, Gallery, read_cases

HERE = Path(__file__).parent
BROKEN = read_cases(HERE / "broken.txt")
HEALTHY = read_cases(HERE / "healthy.txt")

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_apt,
    pytest.mark.needs_go,
    pytest.mark.needs_cc,
    pytest.mark.needs_git,
]


def name_of(case: Case) -> str:
    return case.name


def test_the_galleries_are_as_large_as_promised() -> None:
    assert len({case.name for case in BROKEN}) == len(BROKEN) >= 40
    assert len({case.name for case in HEALTHY}) == len(HEALTHY) >= 40


@pytest.mark.parametrize("case", BROKEN, ids=name_of)
def test_a_broken_image_is_found_out(gallery: Gallery, case: Case) -> None:
    assert gallery.findings(case) == case.findings


@pytest.mark.parametrize("case", [case for case in BROKEN if case.is_run], ids=name_of)
def test_a_broken_image_fails_as_predicted(gallery: Gallery, case: Case) -> None:
    ran = gallery.run(case)
    assert ran.status == case.status
    assert case.output in ran.output


@pytest.mark.parametrize("case", HEALTHY, ids=name_of)
def test_a_sound_image_passes(gallery: Gallery, case: Case) -> None:
    assert gallery.findings(case) == ""


@pytest.mark.parametrize("case", [case for case in HEALTHY if case.is_run], ids=name_of)
def test_a_sound_image_runs(gallery: Gallery, case: Case) -> None:
    ran = gallery.run(case)
    assert case.output in ran.output
    assert ran.status == 0


SCRIPTS = {
    "{}": (True, False),
    "A=1 {}": (True, False),
    "true; {}": (True, False),
    "true && {}": (True, False),
    "{} | cat": (True, True),
    "{} || true": (True, True),
    "exec {}": (False, False),
    "cd / && exec {}": (False, False),
}
"""Whether dash stays, and whether bash and busybox do."""


@pytest.mark.parametrize(("base", "shell"), [("debian", "dash"), ("debian", "bash"), ("busybox", "sh")])
@pytest.mark.parametrize("script", SCRIPTS)
def test_which_shells_stay_between_the_runtime_and_the_program(
    gallery: Gallery, base: str, shell: str, script: str
) -> None:
    """`$$` is the shell's number: whoever has it now has taken the shell's place, or is the shell."""
    line = script.format("cat /proc/$$/comm").replace('"', '\\"')
    case = Case(
        f"{shell}-{list(SCRIPTS).index(script)}", f'FROM gallery/{base}\nENTRYPOINT ["/bin/{shell}", "-c", "{line}"]\n'
    )
    stays = SCRIPTS[script][0 if shell == "dash" else 1]
    assert gallery.run(case).output.strip() == (shell if stays else "cat")
