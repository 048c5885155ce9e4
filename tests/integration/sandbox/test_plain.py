"""Single mode where somebody outside listens to system calls already: what needs more users than one only succeeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyoci.sandbox.namespace_sandbox import NamespaceSandbox
from pyoci.sandbox.protocols import FileMount
from pyoci.sandbox.worker import Worker
from tests.integration.accounts import python_for_everybody
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import OPERATIONS, World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_apt]

APT = "apt-get -qq -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false"
LOST = "owners are not recorded here: every new file belongs to 0:0"


@pytest.fixture(scope="module")
def plain(debian_worlds: Worlds) -> Iterator[World]:
    """The world of single mode, with a worker under a listener of another's."""
    single = debian_worlds("single")
    python, _ = python_for_everybody()
    confined = [python, str(single.package / "confine.py"), "listener", f"user={single.account.uid}", "--"]
    interpreter = [*confined, python, "-I", "-S", "-E", "-X", "utf8"]
    worker = Worker(
        single.worker.privilege,
        operations=OPERATIONS,
        interpreter=interpreter,
        environment={"PYTHONPATH": str(single.package)},
        packages=single.package,
    )
    warnings: list[str] = []
    with worker:
        sandbox = NamespaceSandbox(worker, warn=warnings.append)
        yield World("single", single.account, worker, sandbox, single.base, single.package, warnings)


def test_the_status_is_the_commands(plain: World) -> None:
    statuses = [plain.run(command).status for command in ("exit 42", "kill -9 $$", ["/nonexistent"], ["/etc/passwd"])]
    assert statuses == [42, 137, 127, 126]


def test_the_user_is_told_once(plain: World) -> None:
    plain.run("true")
    plain.run("true")
    assert plain.warnings == [LOST]


def test_a_timeout_ends_everything(plain: World) -> None:
    assert plain.run("(setsid sleep 60 &); sleep 60", timeout_seconds=0.5).status == 124


def test_packages_and_users_can_be_added(plain: World) -> None:
    script = (
        f"export DEBIAN_FRONTEND=noninteractive; {APT} update && "
        f"{APT} install -y --no-install-recommends hello openssh-client >/dev/null && hello && "
        "adduser --quiet --disabled-password --gecos '' bob && id bob && install -o bob -d /srv/bob && su bob -c true"
    )
    result = plain.run(script, network="host", timeout_seconds=300)
    assert result.status == 0, result.output
    changes = plain.changes(lowers=[plain.base])
    assert (changes["usr/bin/ssh-agent"].owner, changes["usr/bin/ssh-agent"].mode) == ((0, 0), 0o2755)
    assert changes["home/bob"].owner == (0, 0)


def test_a_file_keeps_the_owner_that_its_path_had(plain: World) -> None:
    assert plain.run("chmod 600 /etc/shadow; sed -i s/x/x/ /etc/gshadow").status == 0
    changes = plain.changes(lowers=[plain.base])
    assert (changes["etc/shadow"].owner, changes["etc/gshadow"].owner) == ((0, 42), (0, 42))


def test_changes_are_a_layers(plain: World) -> None:
    mounts = [FileMount("/run/secrets/t", b"text")]
    script = "cat /run/secrets/t; rm /etc/motd; rm -r /usr/share/doc; mkdir /usr/share/doc; touch /etc/foo"
    result = plain.run(script, mounts)
    assert (result.status, result.output) == (0, "text")
    changes = plain.changes(lowers=[plain.base])
    assert changes.keys() == {"etc", "etc/motd", "etc/foo", "usr", "usr/share", "usr/share/doc"}
    assert (changes["etc/motd"].kind, changes["usr/share/doc"].opaque) == ("whiteout", True)


def test_no_device_is_made(plain: World) -> None:
    """Success would leave nothing: whoever needs the node finds out later than whoever asks for it."""
    result = plain.run("mknod /opt/n c 1 3; echo $?; ls /opt")
    assert result.output == "0\n"
