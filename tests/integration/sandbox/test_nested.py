"""A builder in a real container, of docker and of podman."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.base_image import write_base_layout
from tests.integration.accounts import Installation
from tests.integration.real.docker import RealDocker, real_docker
from tests.integration.real.podman import RealPodman, real_podman
from tests.integration.sandbox.world import extract

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_apt]

IMAGE = "localhost/base:latest"


@pytest.fixture(scope="module")
def docker(debian_tar: Path) -> Iterator[RealDocker]:
    with real_docker() as engine:
        engine("import", debian_tar, IMAGE)
        yield engine


@pytest.fixture(scope="module")
def podman(debian_tar: Path) -> Iterator[RealPodman]:
    with real_podman() as engine:
        engine("import", debian_tar, IMAGE)
        yield engine


@pytest.fixture(scope="module")
def base(busybox_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("nested") / "base"
    extract(busybox_tar, directory)
    return directory


def inside(engine: RealDocker | RealPodman, package: Path, base: Path, *options: str) -> dict[str, Any]:
    """What a builder in a container finds; its store is in the container's own root, its Python is the host's."""
    command = "mkdir -p /tmp/store && exec /usr/bin/python3 /packages/inside.py /tmp/store /base '' ''"
    volumes = ["/usr:/usr:ro", f"{package}:/packages:ro", f"{base}:/base:ro"]
    result: dict[str, Any] = json.loads(
        engine(
            *("run", "--rm", "--network=host", *options),
            *(word for volume in volumes for word in ("--volume", volume)),
            *(IMAGE, "/bin/sh", "-c", command),
        )
    )
    return result


@pytest.mark.needs_docker
def test_root_in_docker(docker: RealDocker, package: Path, base: Path) -> None:
    result = inside(docker, package, base)
    assert (result["mode"], result["storage"]) == ("chroot", "copy")
    assert (
        result["findings"]["mode"]["message"]
        == "steps run in mode chroot: chroot(2) by root: exact owners, no isolation"
    )
    assert "system call filter" in result["findings"]["user-namespaces"]["cause"]
    assert result["step"]["status"] == 0
    assert result["step"]["output"] == "0\ngrep: /proc/self/status: No such file or directory\ndone\n"
    assert result["step"]["made"] == ["33"]
    (warning,) = result["step"]["warnings"]
    assert warning.startswith("steps are not isolated here")


@pytest.mark.needs_docker
def test_a_user_in_docker(docker: RealDocker, package: Path, base: Path) -> None:
    result = inside(docker, package, base, "--user=4242")
    assert result["mode"] == "none"
    assert result["step"].startswith("this machine lets this user run no step")
    assert result["findings"]["user-namespaces"]["mend"] == "start the container with --security-opt seccomp=unconfined"


BUILDS = """
cd /tmp && mkdir context && cd context && echo x >file
printf 'FROM scratch\\nCOPY file /\\n' >Copy; printf 'FROM base\\nRUN echo made >/made\\n' >Run
build() {
  python3 -m pyoci build -f $1 --build-context base=oci-layout:///base:latest -o type=local,dest=$1.out . 2>&1
}
build Copy; echo "status $?"; ls Copy.out; build Run; echo "status $?"; cat Run.out/made; true
"""


@pytest.mark.needs_docker
@pytest.mark.parametrize("user", ["0", "4242"])
def test_builds_in_docker(docker: RealDocker, pyoci: Installation, tmp_path: Path, user: str) -> None:
    """Files are copied as any user; a step runs as root, without isolation and saying so, and as nobody else."""
    write_base_layout(tmp_path / "base")
    said = docker(
        *("run", "--rm", "--network=host", f"--user={user}", "--volume=/usr:/usr:ro"),
        *(f"--volume={pyoci.packages}:/packages:ro", f"--volume={tmp_path / 'base'}:/base:ro"),
        *("--env=PYTHONPATH=/packages", "--env=PYTHONDONTWRITEBYTECODE=1", "--env=HOME=/tmp"),
        *(IMAGE, "/bin/sh", "-c", BUILDS),
    )
    copied, _, ran = said.partition("status 0\n")
    assert "COPY" in copied and ran.startswith("file\n")
    if user == "0":
        assert ran.endswith("status 0\nmade\n")
        assert ran.count("steps are not isolated here: only chroot(2) is possible") == 1, ran
    else:
        assert "status 1\n" in ran
        assert "error: this machine lets this user run no step" in ran
        assert "`pyoci doctor` says why and what to change" in ran


@pytest.mark.needs_docker
@pytest.mark.parametrize(("options", "mode"), [((), "subuid"), (("--user=4242",), "single")])
def test_docker_without_a_filter(
    docker: RealDocker, package: Path, base: Path, options: tuple[str, ...], mode: str
) -> None:
    result = inside(docker, package, base, "--security-opt=seccomp=unconfined", *options)
    assert (result["mode"], result["storage"]) == (mode, "memory")
    assert result["findings"]["proc"]["level"] == "note"
    assert result["step"]["status"] == 0
    assert result["step"]["output"].endswith("done\n")
    assert result["step"]["made"] == [".", "made"]


@pytest.mark.needs_docker
def test_docker_that_lets_root_mount(docker: RealDocker, package: Path, base: Path) -> None:
    result = inside(docker, package, base, "--security-opt=seccomp=unconfined", "--cap-add=SYS_ADMIN")
    assert (result["mode"], result["storage"]) == ("root", "memory")
    assert result["step"]["status"] == 0


PODMAN_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
UNCONFINED = "--security-opt=seccomp=unconfined"


@pytest.mark.needs_podman
@pytest.mark.parametrize(
    ("options", "modes"),
    [
        ((), ("subuid", "chroot")),
        (("--user=4242",), ("single", "none")),
        ((UNCONFINED,), ("subuid",)),
        ((UNCONFINED, "--user=4242"), ("single",)),
    ],
    ids=["root", "user", "root-unconfined", "user-unconfined"],
)
def test_in_podman(
    podman: RealPodman, package: Path, base: Path, options: tuple[str, ...], modes: tuple[str, ...]
) -> None:
    """podman's filter allows user namespaces, in some versions to root of the container alone."""
    result = inside(podman, package, base, *PODMAN_LIMITS, *options)
    assert result["mode"] in modes, result
    if result["mode"] == "none":
        assert result["step"].startswith("this machine lets this user run no step")
        assert result["findings"]["user-namespaces"]["mend"]
        return
    assert isinstance(result["step"], dict), result
    assert result["step"]["status"] == 0
    assert result["step"]["output"].endswith("done\n")
    if result["mode"] == "single":
        assert result["storage"] == "memory"
        assert not [warning for warning in result["step"]["warnings"] if "owners" in warning]
