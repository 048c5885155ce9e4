"""What a bake file may reach on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.api.bake_permissions import Needs, Permissions, check_permissions, parse_permissions
from pyoci.environment import Environment
from pyoci.errors import UsageError
from pyoci.platforms import Platform


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    work = tmp_path / "work"
    work.mkdir()
    return Environment(
        store=tmp_path / "store",
        working_directory=work,
        home=tmp_path,
        uid=0,
        gid=0,
        platform=Platform("linux", "amd64"),
        now=0,
    )


def test_the_values_of_allow() -> None:
    given = parse_permissions(
        ["security.insecure,network.host", "ssh", "fs.read=/a,b", "fs=/c", "image.push=x", "device"]
    )
    assert given == Permissions(
        insecure=True,
        host_network=True,
        ssh=True,
        read=("/a,b", "/c"),
        write=("/c",),
        without_effect=("image.push=x", "device"),
    )


@pytest.mark.parametrize(
    "text", ["everything", "fs.read", "fs.read=", "security.insecure=1", "buildx.local.delete=x", ""]
)
def test_a_value_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=f'invalid entitlement "{text}" for --allow'):
        parse_permissions([text])


def test_the_working_directory_is_allowed(environment: Environment) -> None:
    needs = {"t": Needs(read=(".", "a/b", str(environment.working_directory)), write=("out",))}
    check_permissions(needs, Permissions(), environment, guards_files=True)


def test_all_that_is_missing_is_said_at_once(environment: Environment) -> None:
    parent = environment.working_directory.parent.resolve()
    needs = {
        "a": Needs(insecure=True, read=("../x",), write=("../y/z",)),
        "b": Needs(ssh=True, delete=True, read=("../x",)),
    }
    with pytest.raises(UsageError) as caught:
        check_permissions(needs, Permissions(), environment, guards_files=True)
    wanted = ["security.insecure", f"fs.read={parent}/x", f"fs.write={parent}/y/z", "buildx.local.delete", "ssh"]
    assert caught.value.message == f"targets a, b ask for more than is allowed: {', '.join(wanted)}"
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(" ".join(f"--allow {one}" for one in wanted))
    given = parse_permissions(wanted)
    check_permissions(needs, given, environment, guards_files=True)


def test_links_lead_outside(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (environment.working_directory / "link").symlink_to("../secret")
    needs = {"t": Needs(read=("link",))}
    with pytest.raises(UsageError, match=r"fs\.read="):
        check_permissions(needs, Permissions(), environment, guards_files=True)
    check_permissions(needs, Permissions(read=("*",)), environment, guards_files=True)
    check_permissions(needs, Permissions(read=("..",)), environment, guards_files=True)
    check_permissions(needs, Permissions(), environment, guards_files=False)


def test_a_name_that_only_begins_like_it_is_outside(environment: Environment) -> None:
    needs = {"t": Needs(read=("../work2/x",))}
    with pytest.raises(UsageError):
        check_permissions(needs, Permissions(), environment, guards_files=True)
