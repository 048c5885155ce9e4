"""Worlds: one for each mode, made once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast, get_args

import pytest

from pyoci.sandbox.protocols import Mode
from tests.integration.sandbox.world import World, packages, world

NAMESPACE_MODES = ("root", "subuid", "single")


class Worlds:
    """Makes the world of a mode when a test first asks for it."""

    def __init__(self, stack: ExitStack, base: Path, package: Path) -> None:
        self._stack = stack
        self._base = base
        self._package = package
        self._made: dict[Mode, World] = {}

    def __call__(self, name: str) -> World:
        mode = cast("Mode", name)
        if mode not in self._made:
            self._made[mode] = self._stack.enter_context(world(mode, self._base, self._package))
        return self._made[mode]


@pytest.fixture(scope="session")
def package() -> Iterator[Path]:
    with packages() as directory:
        yield directory


@pytest.fixture(scope="session")
def debian_worlds(debian_tar: Path, package: Path) -> Iterator[Worlds]:
    with ExitStack() as stack:
        yield Worlds(stack, debian_tar, package)


@pytest.fixture(scope="session")
def busybox_worlds(busybox_tar: Path, package: Path) -> Iterator[Worlds]:
    with ExitStack() as stack:
        yield Worlds(stack, busybox_tar, package)


@pytest.fixture(params=NAMESPACE_MODES)
def debian(request: pytest.FixtureRequest, debian_worlds: Worlds) -> World:
    """A Debian in each mode that has namespaces."""
    return debian_worlds(request.param)


@pytest.fixture(params=NAMESPACE_MODES)
def small(request: pytest.FixtureRequest, busybox_worlds: Worlds) -> World:
    """busybox in each mode that has namespaces."""
    return busybox_worlds(request.param)


@pytest.fixture(params=(*NAMESPACE_MODES, "chroot"))
def any_small(request: pytest.FixtureRequest, busybox_worlds: Worlds) -> World:
    """busybox in every mode in which steps run."""
    assert request.param in get_args(Mode)
    return busybox_worlds(request.param)
