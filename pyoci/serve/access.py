"""Who may come in: names and passwords from a `htpasswd` file, or the one that was given on the command line."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from pyoci.errors import UsageError
from pyoci.values import dataclass, field

__all__ = ["BcryptPassword", "Password", "PlainPassword", "Users", "read_htpasswd"]

_BCRYPT = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72
"""bcrypt looks at no more of a password; htpasswd cuts longer ones too."""
_FILE_LIMIT = 1 << 20
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class PlainPassword:
    """A password that is known here."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BcryptPassword:
    """What `htpasswd -B` keeps of a password."""

    encoded: bytes = field(repr=False)


Password: TypeAlias = PlainPassword | BcryptPassword


class _Compare(Protocol):
    def __call__(self, password: bytes, encoded: bytes, /) -> bool: ...


class Users:
    """Checks the `Authorization` of requests. May be used from several threads.

    A password that was right is remembered as a keyed hash, as bcrypt takes a good part of a second by intent.
    """

    def __init__(self, passwords: Mapping[str, Password]) -> None:
        """Raises UsageError where bcrypt is needed and not installed."""
        self._passwords = dict(passwords)
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._one_at_a_time = threading.Lock()
        self._bcrypt = _load_bcrypt() if any(isinstance(each, BcryptPassword) for each in passwords.values()) else None

    def allows(self, authorization: str) -> bool:
        """Whether the header has the name and the password of somebody who is known. Slow when it does not."""
        given = _basic(authorization)
        if given is None:
            return False
        name, password = given
        known = self._passwords.get(name)
        match known:
            case None:
                return False
            case PlainPassword(value):
                return hmac.compare_digest(hashlib.sha256(value.encode()).digest(), hashlib.sha256(password).digest())
            case BcryptPassword(encoded):
                return self._allows_bcrypt(name, password, encoded)

    def _allows_bcrypt(self, name: str, password: bytes, encoded: bytes) -> bool:
        mark = hmac.digest(self._key, name.encode() + b"\0" + hashlib.sha256(password).digest(), "sha256")
        if mark in self._right:
            return True
        if b"\0" in password or self._bcrypt is None:
            return False
        with self._one_at_a_time:  # who guesses takes one processor at most
            if mark in self._right:
                return True
            if not self._bcrypt(password[:_BCRYPT_BYTES], encoded):
                return False
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(mark)
        return True


def _load_bcrypt() -> _Compare:
    try:
        import bcrypt
    except ImportError:
        raise UsageError(
            "passwords of a htpasswd file need the package bcrypt, which is not installed",
            hint="pip install '.[serve]' in a checkout of pyoci, or pip install bcrypt",
        ) from None
    return bcrypt.checkpw


def _basic(authorization: str) -> tuple[str, bytes] | None:
    """Name and password of a Basic `Authorization` (RFC 7617), or None."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def read_htpasswd(path: Path) -> dict[str, Password]:
    """The users of a htpasswd file, whose passwords are bcrypt's (`htpasswd -B`), as docker's registry wants them too.

    Raises:
        UsageError: it cannot be read, or has a line of another kind; the line's number is named, its content is not.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > _FILE_LIMIT:
        raise UsageError(f"{path} has more than {_FILE_LIMIT} bytes")
    found: dict[str, Password] = {}
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        name, colon, encoded = line.strip().partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not name or not colon or not encoded.startswith(_BCRYPT) or len(encoded) != 60:
            raise UsageError(
                f"line {number} of {path} has no bcrypt password", hint="make it with htpasswd -B; other kinds are weak"
            )
        found[name] = BcryptPassword(encoded.encode("utf-8", "replace"))
    if not found:
        raise UsageError(f"{path} has no user", hint="add one with htpasswd -B")
    return found
