"""What tests of the whole program share: base images, an installation that every user can run, and a last word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.accounts import Installation, installation, public_directory
from tests.integration.bases import busybox_base, debian_base
from tests.integration.real.containerd import RealContainerd, real_containerd
from tests.integration.real.docker import RealDocker, real_docker
from tests.integration.real.podman import RealPodman, real_podman


@pytest.fixture(scope="session")
def base_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the processes of one run; PYOCI_TEST_CACHE names a directory that outlives it."""
    kept = os.environ.get("PYOCI_TEST_CACHE")
    if kept:
        return Path(kept)
    temporary = tmp_path_factory.getbasetemp()
    return (temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary) / "bases"


@pytest.fixture(scope="session")
def busybox_tar(base_cache: Path) -> Path:
    return busybox_base(base_cache)


@pytest.fixture(scope="session")
def debian_tar(base_cache: Path) -> Path:
    return debian_base(base_cache)


@pytest.fixture(scope="session")
def pyoci() -> Iterator[Installation]:
    """pyoci for users who can read nothing of root's, such as pytest's own temporary directories."""
    with public_directory("installed") as directory:
        yield installation(directory / "packages")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[RealDocker]:
    with real_docker() as docker:
        yield docker


@pytest.fixture
def docker(docker_engine: RealDocker) -> Iterator[RealDocker]:
    """One engine for all tests marked `needs_docker`; each finds and leaves it without images."""
    yield docker_engine
    docker_engine.remove_images()


@pytest.fixture(scope="session")
def containerd_server() -> Iterator[RealContainerd]:
    with real_containerd() as containerd:
        yield containerd


@pytest.fixture
def containerd(containerd_server: RealContainerd) -> Iterator[RealContainerd]:
    """One containerd for all tests marked `needs_containerd`; each finds and leaves it without images."""
    yield containerd_server
    containerd_server.remove_images()


@pytest.fixture
def podman() -> Iterator[RealPodman]:
    """podman with a storage of this test's own, for tests marked `needs_podman`."""
    with real_podman() as podman:
        yield podman


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests measured, also when they passed."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
