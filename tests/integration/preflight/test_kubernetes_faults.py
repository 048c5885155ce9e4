"""What only Kubernetes minds, where it can be seen: a low port, a read-only root, a stop signal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.transfer import save
from tests.integration.preflight.gallery import Case, Gallery
from tests.integration.real.docker import RealDocker

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_apt,
    pytest.mark.needs_go,
    pytest.mark.needs_cc,
    pytest.mark.needs_git,
    pytest.mark.needs_docker,
]
PORT = 81
NOT_ROOT = "FROM gallery/busybox\nUSER 1000:1000\n"
LOW_PORT = Case(
    "low-port", f'{NOT_ROOT}EXPOSE {PORT}\nENTRYPOINT ["nc", "-l", "-p", "{PORT}"]\n', audience="kubernetes"
)
WRITES = Case(
    "writes",
    'FROM gallery/busybox\nRUN mkdir /data && chown 1000:1000 /data\nUSER 1000:1000\nENTRYPOINT ["touch", "/data/x"]\n',
    audience="kubernetes",
)
ENDS_WELL = "$SIG{TERM} = sub { exit 0 }; sleep 60"
SWALLOWS = Case(
    "swallows", f"FROM gallery/debian\nUSER 1000:1000\nENTRYPOINT perl -e '{ENDS_WELL}'\n", audience="kubernetes"
)
PASSES_ON = Case(
    "passes-on",
    f'FROM gallery/debian\nUSER 1000:1000\nENTRYPOINT ["perl", "-e", "{ENDS_WELL}"]\n',
    audience="kubernetes",
)


@pytest.fixture(scope="module")
def engine(
    docker_engine: RealDocker, gallery: Gallery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealDocker]:
    """An engine that has the images above."""
    archive = tmp_path_factory.mktemp("archive") / "images.tar"
    save([gallery.image(case) for case in (LOW_PORT, WRITES, SWALLOWS, PASSES_ON)], archive, options=gallery.options())
    docker_engine.load(archive)
    yield docker_engine
    docker_engine.remove_images()


def rules(gallery: Gallery, case: Case) -> set[str]:
    return {found.rule for found in gallery.checked(case).findings}


def test_a_low_port_is_refused(engine: RealDocker, gallery: Gallery) -> None:
    assert "PrivilegedPort" in rules(gallery, LOW_PORT)
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= PORT:
        pytest.skip("this machine gives low ports to everybody")
    assert "Permission denied" in engine.refused("run", "--rm", "--network=host", gallery.image(LOW_PORT))


def test_what_was_writable_is_not_below_a_read_only_root(engine: RealDocker, gallery: Gallery) -> None:
    assert "WritablePath" in rules(gallery, WRITES)
    engine.run(gallery.image(WRITES))
    said = engine.refused("run", "--rm", "--network=host", "--read-only", gallery.image(WRITES))
    assert "Read-only file system" in said


@pytest.mark.parametrize(("case", "status"), [(SWALLOWS, 137), (PASSES_ON, 0)], ids=["shell", "exec"])
def test_a_shell_keeps_the_stop_signal(engine: RealDocker, gallery: Gallery, case: Case, status: int) -> None:
    """The program ends well when it is told to, and is killed (137) where the shell is told instead."""
    assert ("SignalSwallowed" in rules(gallery, case)) == (case is SWALLOWS)
    container = engine("run", "--detach", "--network=host", gallery.image(case)).strip()
    end = time.monotonic() + 30
    while "perl" not in engine("top", container):
        assert time.monotonic() < end
    time.sleep(0.5)  # perl is there, and has yet to say what it does with the signal
    engine("stop", "--time", "3", container)
    assert int(engine("inspect", "--format", "{{.State.ExitCode}}", container)) == status
    engine("rm", container)
