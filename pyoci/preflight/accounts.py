"""Who a container of the image runs as: `USER` looked up in the image's own passwd and group, as runtimes do it.

Spec: runtime-spec config.md#user; the rules for names and numbers are those that docker, containerd and podman share.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.preflight.reading import Files
from pyoci.values import dataclass

__all__ = ["ROOT_ACCOUNT", "Account", "UnknownName", "find_account", "user_number"]

_FILE_LIMIT = 4 * 1024 * 1024
_ID_LIMIT = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Account:
    """The identity of a process."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()
    """All groups, the first one included."""

    def __str__(self) -> str:
        return f"user {self.uid}:{self.gid}"


ROOT_ACCOUNT = Account(0, 0, frozenset({0}))
"""Who runs an image that says nothing."""


class UnknownName(ValueError):
    """`USER` names what the image does not know."""

    def __init__(self, kind: str, name: str, file: str, *, malformed: bool = False) -> None:
        super().__init__(name)
        self.kind = kind
        """`user` or `group`."""
        self.name = name
        self.file = file
        """Where it was looked for."""
        self.malformed = malformed
        """The name is there, but its line has no numbers."""


def user_number(text: str) -> int | None:
    """The uid or gid that a text is; None if it is a name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _ID_LIMIT else None


def _rows(files: Files, path: str, columns: int) -> Iterator[list[str]]:
    text = (files.text(path, _FILE_LIMIT) or b"").decode("utf-8", "surrogateescape")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            row = line.split(":")
            yield row + [""] * (columns - len(row))


def find_account(files: Files, user: str) -> Account:
    """The identity that `USER user` gives a process; an empty user is root.

    A number needs no line in passwd and then has group 0; a name must be there. Naming a group drops the others.

    Raises:
        UnknownName: the image does not know the user or the group.
    """
    name, _, group = user.partition(":")
    number = user_number(name or "0")
    row = next(
        (
            r
            for r in _rows(files, "etc/passwd", 7)
            if r[0] == name or (number is not None and user_number(r[2]) == number)
        ),
        None,
    )
    if row is None and number is None:
        raise UnknownName("user", name, "/etc/passwd")
    uid, gid = (user_number(row[2]), user_number(row[3])) if row else (number, 0)
    if uid is None or gid is None:
        raise UnknownName("user", name, "/etc/passwd", malformed=True)
    if group:
        gid = _group(files, group)
        return Account(uid, gid, frozenset({gid}))
    others = (
        user_number(line[2])
        for line in _rows(files, "etc/group", 4)
        if row is not None and row[0] in line[3].split(",")
    )
    return Account(uid, gid, frozenset({gid, *(other for other in others if other is not None)}))


def _group(files: Files, name: str) -> int:
    number = user_number(name)
    if number is not None:
        return number
    for row in _rows(files, "etc/group", 4):
        if row[0] == name:
            found = user_number(row[2])
            if found is None:
                raise UnknownName("group", name, "/etc/group", malformed=True)
            return found
    raise UnknownName("group", name, "/etc/group")
