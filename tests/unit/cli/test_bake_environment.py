"""The variables of the environment that bake knows."""

from __future__ import annotations

import pytest

from pyoci.build.request import SecretSource, SshSource
from pyoci.cli.bake_environment import BakeEnvironment, bake_environment
from pyoci.errors import UsageError


def test_nothing_is_said() -> None:
    found = bake_environment({"HOME": "/x"})
    assert found == BakeEnvironment(ssh=(SshSource("default"),))
    assert found.looks_up
    assert found.guards_files
    assert found.guards_remote_files


def test_files() -> None:
    assert bake_environment({"BUILDX_BAKE_FILE": "a.hcl: b.hcl ::-"}).files == ("a.hcl", "b.hcl", "-")
    given = {"BUILDX_BAKE_FILE": "a:b,c", "BUILDX_BAKE_PATH_SEPARATOR": ","}
    assert bake_environment(given).files == ("a:b", "c")


def test_secrets_for_a_repository() -> None:
    found = bake_environment({"BUILDX_BAKE_GIT_AUTH_TOKEN": "t", "buildx_bake_git_auth_header": "h"})
    assert found.git_secrets("example.com") == (
        SecretSource("GIT_AUTH_TOKEN.example.com", env="BUILDX_BAKE_GIT_AUTH_TOKEN"),
        SecretSource("GIT_AUTH_HEADER.example.com", env="buildx_bake_git_auth_header"),
    )
    assert found.git_secrets("") == ()


def test_keys_for_a_repository() -> None:
    assert bake_environment({"BUILDX_BAKE_GIT_SSH": "/key"}).ssh == (SshSource("default", "/key"),)
    with pytest.raises(UsageError, match="BUILDX_BAKE_GIT_SSH names several keys"):
        bake_environment({"BUILDX_BAKE_GIT_SSH": "/a,/b"})


@pytest.mark.parametrize(
    ("variables", "here", "remote"),
    [
        ({"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}, False, False),
        ({"BUILDX_BAKE_ENTITLEMENTS_FS": "1", "BAKE_ALLOW_REMOTE_FS_ACCESS": "1"}, True, True),
        ({"BAKE_ALLOW_REMOTE_FS_ACCESS": "true"}, True, False),
    ],
)
def test_whose_files_are_guarded(variables: dict[str, str], here: bool, remote: bool) -> None:
    found = bake_environment(variables)
    assert (found.guards_files, found.guards_remote_files) == (here, remote)


@pytest.mark.parametrize("name", ["BUILDX_BAKE_FILE_RELATIVE_PATHS", "BUILDX_BAKE_ENTITLEMENTS_FS"])
def test_a_switch_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match=f'{name} is "maybe"'):
        bake_environment({name: "maybe"})


def test_a_lookup_switch_that_is_none_changes_nothing() -> None:
    assert bake_environment({"BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "maybe"}).looks_up
    assert not bake_environment({"BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "true"}).looks_up
