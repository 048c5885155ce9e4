"""Names and passwords. The bcrypt entries are those of the algorithm's published test vectors and of htpasswd."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pyoci.errors import UsageError
from pyoci.serve.access import BcryptPassword, PlainPassword, Users, read_htpasswd

VECTOR = "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkY8jIucDrjc8deX1s."
"""Of the empty password, from the test vectors of OpenBSD's and jBCrypt's implementations."""
ABC = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"
"""Of `abc`, from the same."""


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_plain_password() -> None:
    users = Users({"joe": PlainPassword("pässword:with colon")})
    assert users.allows(basic("joe", "pässword:with colon"))
    assert users.allows(basic("joe", "pässword:with colon").replace("Basic", "bAsIc"))
    for wrong in (basic("joe", "password"), basic("eve", "pässword:with colon"), basic("joe", ""), ""):
        assert not users.allows(wrong)


@pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic !!!", "Basic am9l", "Basic /w==", "Basic " + "A" * 99])
def test_headers_that_say_nothing(header: str) -> None:
    assert not Users({"joe": PlainPassword("x")}).allows(header)


def test_passwords_that_bcrypt_made() -> None:
    users = Users({"abc": BcryptPassword(ABC.encode())})
    for _ in range(2):  # the second time it is remembered
        assert users.allows(basic("abc", "abc"))
        assert not users.allows(basic("abc", "abd"))
        assert not users.allows(basic("abc", "abc\0"))
        assert not users.allows(basic("abc", ""))


def test_what_is_known_is_not_shown() -> None:
    assert "hunter2" not in repr(PlainPassword("hunter2"))
    assert ABC not in repr(BcryptPassword(ABC.encode()))


def test_a_htpasswd_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# staff\n\nabc:{ABC}\njoe:{ABC}\n")
    users = Users(read_htpasswd(path))
    assert users.allows(basic("joe", "abc"))
    assert not users.allows(basic("eve", "abc"))


@pytest.mark.parametrize(
    "line",
    [
        "joe:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
        "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "joe:plain",
        "joe",
        ":" + ABC,
        "joe:" + ABC[:-1],
    ],
)
def test_weaker_kinds_are_named_by_their_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"abc:{ABC}\n{line}\n")
    with pytest.raises(UsageError, match=r"line 2 of .*/users has no bcrypt password") as caught:
        read_htpasswd(path)
    assert line.partition(":")[2] not in str(caught.value) or not line.partition(":")[2]
    assert "htpasswd -B" in str(caught.value.hint)


def test_a_file_that_lets_nobody_in_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="has no user"):
        read_htpasswd(tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot read"):
        read_htpasswd(tmp_path / "missing")
