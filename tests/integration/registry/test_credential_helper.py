"""The helper protocol of docker-credential-helpers, spoken with a helper that is a real program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyoci.errors import UsageError
from pyoci.registry.credential_files import erase_login, save_login
from pyoci.registry.credential_helper import CredentialHelper, HelperFailure
from pyoci.registry.credentials import Credential, CredentialFiles

HELPER = """#!/bin/sh
# Keeps one JSON object per server in files, and notes how it was called.
echo "$0 $*" >> "$HELPER_STATE/calls"
read_input=$(cat)
case "$1" in
store) server=$(printf %s "$read_input" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/')
       printf %s "$read_input" > "$HELPER_STATE/$(printf %s "$server" | tr / _)" ;;
get) file="$HELPER_STATE/$(printf %s "$read_input" | tr / _)"
     [ -f "$file" ] || { echo "credentials not found in native keychain"; exit 1; }
     cat "$file" ;;
erase) rm -f "$HELPER_STATE/$(printf %s "$read_input" | tr / _)" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "state").mkdir()
    install(tmp_path, "keeper", HELPER)
    return {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HELPER_STATE": f"{tmp_path}/state"}


def install(tmp_path: Path, name: str, script: str) -> None:
    path = tmp_path / "bin" / f"docker-credential-{name}"
    path.write_text(script)
    path.chmod(0o755)


def config(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return path


def test_a_secret_goes_in_and_comes_out_and_is_never_an_argument(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    helper = CredentialHelper("keeper", environment)
    assert helper.get("r.example") is None
    helper.store("r.example", "joe", "hunter2 secret")
    assert helper.get("r.example") == ("joe", "hunter2 secret")
    helper.erase("r.example")
    assert helper.get("r.example") is None
    calls = (tmp_path / "state/calls").read_text()
    assert "hunter2" not in calls
    assert [line.split()[1:] for line in calls.splitlines()] == [["get"], ["store"], ["get"], ["erase"], ["get"]]


def test_login_and_logout_use_the_configured_helper(tmp_path: Path, environment: Mapping[str, str]) -> None:
    path = config(tmp_path, {"credsStore": "keeper"})
    files = CredentialFiles((path,), environment)
    where = save_login((path,), "docker.io", Credential("joe", "hunter2"), environment=environment)
    assert where == "docker-credential-keeper"
    assert json.loads(path.read_text()) == {"credsStore": "keeper", "auths": {"https://index.docker.io/v1/": {}}}
    assert files.find("docker.io", "library/alpine") == Credential("joe", "hunter2")
    save_login((path,), "r.example", Credential("joe", "", "refresh-token"), environment=environment)
    assert files.find("r.example", "app") == Credential("<token>", "", "refresh-token")
    assert erase_login((path,), "docker.io", environment=environment) == ("docker-credential-keeper",)
    assert files.find("docker.io", "library/alpine") is None
    assert json.loads(path.read_text())["auths"] == {"r.example": {}}


def test_a_helper_for_one_host_goes_before_the_general_one(tmp_path: Path, environment: Mapping[str, str]) -> None:
    install(tmp_path, "other", HELPER.replace("$HELPER_STATE/$", "$HELPER_STATE/other-$"))
    path = config(tmp_path, {"credsStore": "keeper", "credHelpers": {"r.example": "other"}})
    save_login((path,), "r.example", Credential("joe", "other"), environment=environment)
    save_login((path,), "s.example", Credential("joe", "general"), environment=environment)
    files = CredentialFiles((path,), environment)
    assert files.find("r.example", "app") == Credential("joe", "other")
    assert files.find("s.example", "app") == Credential("joe", "general")
    assert (tmp_path / "state/other-r.example").exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "docker-credential-broken is not on PATH"),
        ("#!/bin/sh\necho the keychain is locked; exit 3\n", "get failed: the keychain is locked"),
        ("#!/bin/sh\nexit 3\n", "get failed: exit status 3"),
        ("#!/bin/sh\necho hunter2-secret\n", "did not answer with Username and Secret"),
        (
            '#!/bin/sh\necho \'{"Username": 1, "Secret": "hunter2-secret"}\'\n',
            "did not answer with Username and Secret",
        ),
        ("#!/nowhere\n", "cannot be run: No such file or directory"),
        ("#!/bin/sh\nhead -c 400000 /dev/zero\n", "answered more than"),
    ],
)
def test_a_broken_helper_is_a_warning_and_what_the_file_says_still_counts(
    script: str | None, reason: str, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    if script is not None:
        install(tmp_path, "broken", script)
    path = config(tmp_path, {"credsStore": "broken", "auths": {"r.example": {"username": "a", "password": "b"}}})
    warnings: list[str] = []
    files = CredentialFiles((path,), environment, warnings.append)
    assert files.find("s.example", "app") is None
    (warning,) = warnings
    assert warning.startswith("no credentials for s.example: ")
    assert reason in warning
    assert "hunter2" not in warning
    assert files.find("r.example", "app") == Credential("a", "b")


@pytest.mark.parametrize("script", [None, "#!/bin/sh\ncat >/dev/null; echo the keychain is locked; exit 3\n"])
def test_a_login_that_the_helper_does_not_keep_changes_nothing(
    script: str | None, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    if script is not None:
        install(tmp_path, "broken", script)
    path = config(tmp_path, {"credsStore": "broken"})
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"^the login to r\.example was not kept: docker-credential-broken ") as caught:
        save_login((path,), "r.example", Credential("joe", "hunter2"), environment=environment)
    assert "hunter2" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_helper_that_hangs_is_given_up(tmp_path: Path, environment: Mapping[str, str]) -> None:
    install(tmp_path, "slow", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(HelperFailure, match=r"^docker-credential-slow did not answer within 0\.3 s$"):
        CredentialHelper("slow", environment, timeout_seconds=0.3).get("r.example")


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "-x", "a/b"])
def test_a_helper_is_a_name_and_no_path(name: str, environment: Mapping[str, str]) -> None:
    with pytest.raises(HelperFailure, match="is not the name of a credential helper"):
        CredentialHelper(name, environment).get("r.example")
