from __future__ import annotations

from typing import Any

import pytest

from tests.builders import Item, directory, symlink
from tests.unit.preflight.looking import STATIC, executable, look, text_of

APP: dict[str, Item] = {"app": executable(STATIC), "etc/passwd": b"root:x:0:0::/:/\nweb:x:7:8::/:/\ntoor:x:0:0::/:/\n"}


def say(items: dict[str, Item] | None = None, **fields: Any) -> list[str]:
    given: dict[str, Any] = {"entrypoint": ("/app",), "user": "7:8", **fields}
    return text_of(look({**APP, **(items or {})}, audience="kubernetes", **given))


def test_a_number_that_is_not_root_is_ready() -> None:
    assert say() == []
    assert say(user="7") == []


ROOT = (
    "error: the image runs as root: container has runAsNonRoot and image will run as root "
    "| set USER to a number other than 0, such as 65532, and let it read what it needs"
)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ROOT),
        ("0", ROOT),
        ("0:7", ROOT),
        ("root", ROOT),
        ("toor", ROOT),
        (
            "web",
            'error: USER "web" is a name: container has runAsNonRoot and image has non-numeric user (web) '
            "| write its number: USER 7:8",
        ),
    ],
)
def test_users_that_run_as_non_root_refuses(user: str, expected: str) -> None:
    assert say(user=user) == [expected]


def test_nothing_of_this_is_said_to_others() -> None:
    assert look(APP, entrypoint=("/app",), user="web", exposed_ports=("80/tcp",)) == []


def test_an_unknown_user_is_said_once() -> None:
    assert len(say(user="nobody")) == 1


def test_low_ports() -> None:
    assert say(exposed_ports=("80/tcp", "1024/tcp", "8080/tcp")) == [
        "warning: port 80/tcp is below 1024, and user 7:8 is not root: bind: permission denied unless the runtime "
        "allows it "
        "| listen on a port such as 8080, and let the Service map it"
    ]
    assert say(user="0", exposed_ports=("80/tcp",)) == [ROOT]


def test_a_shell_that_stays_in_between() -> None:
    shell: dict[str, Item] = {"bin/sh": symlink("dash"), "bin/dash": executable(STATIC)}
    args = ("/bin/sh", "-c", "/app --port=$PORT")
    assert say(shell, entrypoint=args) == [
        "warning: the entrypoint is in shell form, and its shell (/bin/dash) does not pass SIGTERM on: the program "
        "is killed "
        "when the grace period is over | write it in exec form, or put exec before the last command"
    ]
    assert "does not pass SIGQUIT on" in say(shell, entrypoint=None, cmd=args, stop_signal="SIGQUIT")[0]
    assert say(shell, entrypoint=("/bin/sh", "-c", "exec /app")) == []


def test_directories_that_a_read_only_root_takes_away() -> None:
    items: dict[str, Item] = {
        "tmp": directory(mode=0o1777),
        "tmp/below": directory(mode=0o777, uid=7),
        "srv/data": directory(uid=7),
        "srv/group": directory(mode=0o775, gid=8),
        "srv/group-reads": directory(gid=8),
        "srv/volume": directory(uid=7),
        "srv/others": directory(uid=9),
        "srv/of-root": directory(mode=0o775),
        "proc": directory(uid=7),
    }
    assert say(items, volumes=("/srv/volume",)) == [
        "note: under a read-only root file system user 7:8 can no longer write /srv/data, /srv/group, /tmp "
        "| mount an emptyDir where the program writes"
    ]


def test_root_s_group_writes_much_and_means_little() -> None:
    """A number without a line in passwd has group 0, as everything that a Dockerfile copies."""
    items: dict[str, Item] = {"srv": directory(mode=0o775), "own": directory(uid=65532)}
    assert "can no longer write /own |" in say(items, user="65532")[0]


def test_a_long_list_is_cut() -> None:
    items: dict[str, Item] = {f"d{number}": directory(uid=7) for number in range(8)}
    assert "write /d0, /d1, /d2, /d3, /d4, /d5 and 2 more |" in say(items)[0]
