"""The gallery's world: programs, bases, one store. Made once per test process."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from tests.integration.preflight.gallery import Gallery, read_cases
from tests.integration.preflight.programs import make_programs

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def programs(base_cache: Path) -> Path:
    """A directory of real programs, shared by test processes that run side by side."""
    directory = base_cache / "preflight"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make_programs(directory)


@pytest.fixture(scope="session")
def gallery(programs: Path, debian_tar: Path, busybox_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A store with the bases."""
    directory = tmp_path_factory.mktemp("gallery")
    context = directory / "context"
    shutil.copytree(programs, context)
    shutil.copy(debian_tar, context / "debian.tar")
    shutil.copy(busybox_tar, context / "busybox.tar")
    world = Gallery(directory, context)
    for case in read_cases(HERE / "bases.txt"):
        world.image(case, "gallery")
    return world
