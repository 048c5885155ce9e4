"""Credential files as docker, podman and their documentation write them."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from pyoci.errors import UsageError
from pyoci.registry.credential_files import erase_login, save_login
from pyoci.registry.credentials import (
    Credential,
    CredentialFiles,
    FixedCredentials,
    credential_paths,
    registry_of_key,
)


def encoded(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def found(path: Path, registry: str, repository: str = "team/app") -> Credential | None:
    return CredentialFiles((path,)).find(registry, repository)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("docker.io/team", "docker.io/team"),
        ("https://registry.example/v2/", "registry.example"),
        ("http://registry.example:5000", "registry.example:5000"),
        ("registry.example/v1/", "registry.example"),
        ("registry.example/team/app", "registry.example/team/app"),
        ("https://registry.example/team", "registry.example"),
    ],
)
def test_keys(key: str, registry: str) -> None:
    assert registry_of_key(key) == registry


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io/v1/"])
def test_docker_io_under_any_of_its_names(key: str, tmp_path: Path) -> None:
    path = written(tmp_path / "config.json", {"auths": {key: encoded("joe:pw")}})
    assert found(path, "docker.io", "library/alpine") == Credential("joe", "pw")


def test_the_longest_path_wins(tmp_path: Path) -> None:
    """containers-auth.json(5): the entries are matched from the most specific to the least specific."""
    auths = {
        "r.example": encoded("host:1"),
        "r.example/team": encoded("team:2"),
        "r.example/team/app": encoded("app:3"),
        "r.example/te": encoded("wrong:4"),
    }
    path = written(tmp_path / "auth.json", {"auths": auths})
    assert found(path, "r.example", "team/app") == Credential("app", "3")
    assert found(path, "r.example", "team/app2") == Credential("team", "2")
    assert found(path, "r.example", "team/app/deep") == Credential("app", "3")
    assert found(path, "r.example", "other") == Credential("host", "1")
    assert found(path, "r.example:5000", "team/app") is None


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        (encoded("joe:with:colons"), Credential("joe", "with:colons")),
        (encoded("jöe:pässwörd"), Credential("jöe", "pässwörd")),
        (encoded("joe:pw\0\0"), Credential("joe", "pw")),
        ({**encoded("joe:"), "identitytoken": "refresh"}, Credential("joe", "", "refresh")),
        (encoded("<token>:refresh"), Credential("<token>", "", "refresh")),
        ({"username": "joe", "password": "pw"}, Credential("joe", "pw")),
        ({"auth": "", "email": "joe@example"}, None),
        ({}, None),
    ],
)
def test_entries(entry: object, credential: Credential | None, tmp_path: Path) -> None:
    path = written(tmp_path / "config.json", {"auths": {"r.example": entry}})
    assert found(path, "r.example") == credential


def test_an_empty_entry_hides_none_of_another_spelling(tmp_path: Path) -> None:
    auths = {"https://r.example": {}, "r.example": encoded("joe:pw")}
    assert found(written(tmp_path / "c", {"auths": auths}), "r.example") == Credential("joe", "pw")


def test_files_are_asked_in_order_and_read_each_time(tmp_path: Path) -> None:
    first = tmp_path / "first.json"
    second = written(tmp_path / "second.json", {"auths": {"r.example": encoded("second:2")}})
    files = CredentialFiles((first, second))
    assert files.find("r.example", "a") == Credential("second", "2")
    written(first, {"auths": {"r.example": encoded("first:1")}})
    assert files.find("r.example", "a") == Credential("first", "1")
    assert files.find("other.example", "a") is None


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"auths": null}', '{"auths": {}, "credHelpers": null}'])
def test_files_that_say_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    assert found(tmp_path / "config.json", "r.example") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        ('{"auths": []}', '"auths" must be an object'),
        ('{"auths": {"r": "hunter2-secret"}}', '"auths" → "r" must be an object'),
        ('{"auths": {"r": {"auth": "hunter2-secret!"}}}', '"auths" → "r" → "auth" is not base64'),
        ('{"auths": {"r": {"auth": "aHVudGVyMg=="}}}', '"auths" → "r" → "auth" is not a name and a password'),
        ('{"auths": {"r": {"password": 7}}}', '"auths" → "r" → "password" must be a string'),
        ('{"credHelpers": {"r": 7}}', '"credHelpers" → "r" must be a string'),
        ('{"credsStore": {}}', '"credsStore" must be a string'),
    ],
)
def test_a_damaged_file_is_named_and_its_secrets_are_not(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        found(tmp_path / "config.json", "r")
    assert str(tmp_path) in caught.value.message
    assert message in caught.value.message
    assert "hunter2" not in caught.value.message


def test_secrets_are_not_in_representations() -> None:
    assert "secret" not in repr(Credential("joe", "a-secret", "b-secret"))
    assert "secret" not in repr(FixedCredentials({"r": Credential("joe", "a-secret")}))


def test_what_was_given_goes_before_the_files(tmp_path: Path) -> None:
    path = written(tmp_path / "c", {"auths": {"r.example": encoded("file:1"), "s.example": encoded("file:2")}})
    both = FixedCredentials({"r.example": Credential("given", "3")}, CredentialFiles((path,)))
    assert both.find("r.example", "a") == Credential("given", "3")
    assert both.find("s.example", "a") == Credential("file", "2")
    assert FixedCredentials({}).find("r.example", "a") is None


def test_where_files_are() -> None:
    home = Path("/home/joe")
    assert credential_paths({"XDG_RUNTIME_DIR": "/run/user/7"}, home, 7) == (
        home / ".docker/config.json",
        Path("/run/user/7/containers/auth.json"),
        home / ".config/containers/auth.json",
    )
    assert credential_paths({"DOCKER_CONFIG": "/d", "XDG_CONFIG_HOME": "/x"}, home, 0) == (
        Path("/d/config.json"),
        Path("/run/containers/0/auth.json"),
        Path("/x/containers/auth.json"),
    )
    assert credential_paths({"REGISTRY_AUTH_FILE": "/a.json", "DOCKER_CONFIG": "/d"}, home, 7) == (Path("/a.json"),)


def test_a_login_is_kept_where_docker_would_look(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.json"
    assert save_login((path,), "docker.io", Credential("joe", "pw:x"), environment={}) == str(path)
    assert json.loads(path.read_text()) == {"auths": {"https://index.docker.io/v1/": encoded("joe:pw:x")}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    save_login((path,), "r.example:5000", Credential("joe", "", "refresh"), environment={})
    assert found(path, "r.example:5000") == Credential("joe", "", "refresh")
    assert found(path, "docker.io") == Credential("joe", "pw:x")


def test_a_login_replaces_every_spelling_and_keeps_the_rest(tmp_path: Path) -> None:
    before = {
        "HttpHeaders": {"X": "1"},
        "auths": {"https://r.example/v1/": encoded("old:1"), "r.example/team": encoded("team:2"), "s": encoded("s:3")},
        "psFormat": "table",
    }
    path = written(tmp_path / "config.json", before)
    path.chmod(0o644)
    save_login((tmp_path / "none.json", path), "r.example", Credential("new", "4"), environment={})
    assert json.loads(path.read_text()) == {
        "HttpHeaders": {"X": "1"},
        "auths": {"r.example/team": encoded("team:2"), "s": encoded("s:3"), "r.example": encoded("new:4")},
        "psFormat": "table",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_a_link_to_a_file_elsewhere_stays_a_link(tmp_path: Path) -> None:
    real = written(tmp_path / "dotfiles" / "docker.json", {"auths": None})
    link = tmp_path / "config.json"
    link.symlink_to(real)
    save_login((link,), "r.example", Credential("joe", "pw"), environment={})
    assert link.is_symlink()
    assert found(real, "r.example") == Credential("joe", "pw")


def test_logging_out_forgets_everywhere(tmp_path: Path) -> None:
    one = written(tmp_path / "1", {"auths": {"https://r.example": encoded("a:1"), "s": encoded("s:2")}, "x": 1})
    two = written(tmp_path / "2", {"auths": {"r.example": encoded("b:3")}})
    three = written(tmp_path / "3", {"auths": {"s": encoded("s:4")}})
    untouched = three.read_bytes()
    paths = (one, two, three, tmp_path / "none")
    assert erase_login(paths, "r.example", environment={}) == (str(one), str(two))
    assert json.loads(one.read_text()) == {"auths": {"s": encoded("s:2")}, "x": 1}
    assert json.loads(two.read_text()) == {"auths": {}}
    assert three.read_bytes() == untouched
    assert erase_login(paths, "r.example", environment={}) == ()
