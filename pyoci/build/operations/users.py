"""Users and groups as an image knows them: `/etc/passwd` and `/etc/group` read from its tree, never from this
machine.
"""

from __future__ import annotations

from collections.abc import Callable

from pyoci.build.files import FileView, read_content
from pyoci.digest import Digest
from pyoci.errors import BuildError
from pyoci.values import dataclass

__all__ = ["Account", "chown_ids", "run_account"]

_FILE_LIMIT = 4 * 1024 * 1024
_ID_LIMIT = 2**32 - 2
_OWNER_LIMIT = 2**31 - 1
"""The largest number of `--chown`: BuildKit reads 32 bits with a sign, and looks up anything larger as a name."""
_KNOWN_LIMIT = 64
_known: dict[tuple[Digest, int], list[list[str]]] = {}
"""Rows of files that were read, by the digest of their bytes. Never changed."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a process is."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups, the primary one first."""
    home: str


def _table(files: FileView, path: str, columns: int) -> list[list[str]]:
    """Lines of a colon-separated file, padded to a number of columns; none if there is no such file.

    One that lies in a layer is read once: the layer has to be decompressed for it, and every step asks.
    """
    entry = files.lookup_nofollow(files.resolve(path))
    if entry is None or entry.type != "file":
        return []
    digest = files.digest_of(entry)
    if digest is None:
        return _rows(read_content(files.open_content(entry), limit=_FILE_LIMIT), columns)
    known = _known.get((digest, columns))
    if known is None:
        known = _rows(read_content(files.open_content(entry), limit=_FILE_LIMIT), columns)
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        _known[digest, columns] = known
    return known


def _rows(content: bytes, columns: int) -> list[list[str]]:
    text = content.decode("utf-8", "surrogateescape")
    rows = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            row = line.split(":")
            rows.append(row + [""] * (columns - len(row)))
    return rows


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _ID_LIMIT else None


def _owner_id(text: str) -> int | None:
    """The number that one side of `--chown` is without a look into the image: nothing and `root` are 0 (BuildKit)."""
    if text in ("", "root"):
        return 0
    digits = text.removeprefix("+")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else None
    return number if number is not None and number <= _OWNER_LIMIT else None


def _user(files: FileView, name: str) -> list[str] | None:
    return next((row for row in _table(files, "etc/passwd", 7) if row[0] == name), None)


def _group_id(files: FileView, name: str) -> int | None:
    number = _number(name)
    if number is not None:
        return number
    return next((_number(row[2]) for row in _table(files, "etc/group", 4) if row[0] == name), None)


def chown_ids(files: FileView, owner: str, warn: Callable[[str], None]) -> tuple[int, int]:
    """Uid and gid that `--chown=owner` means; without a colon, a name brings its group and a number stands for both.

    As in BuildKit, a user that passwd does not know is 0:0, and a group that is not known changes nothing; `warn` is
    told.

    Raises:
        BuildError: a name, and there is nothing at all in the image.
    """
    name, colon, group = owner.partition(":")
    uid = _owner_id(name)
    gid = uid
    if uid is None:
        _refuse_nothing(files, "etc/passwd", name, "user")
        row = _user(files, name)
        uid, gid = (_number(row[2]), _number(row[3])) if row else (None, None)
        if uid is None or gid is None:
            warn(f'user "{name}" is not in the image\'s /etc/passwd: taken for 0:0')
            uid = gid = 0
    assert gid is not None
    if not colon:
        return uid, gid
    found = _owner_id(group)
    if found is None:
        found = next((_number(row[2]) for row in _table(files, "etc/group", 4) if row[0] == group), None)
    if found is None:
        _refuse_nothing(files, "etc/group", group, "group")
        warn(f'group "{group}" is not in the image\'s /etc/group: taken for {gid}')
        return uid, gid
    return uid, found


def _refuse_nothing(files: FileView, path: str, name: str, kind: str) -> None:
    if not files.children(""):
        raise BuildError(
            f'{kind} "{name}" cannot be looked up: the image has no /{path}',
            hint="give its number: names are looked up in the image, not on this machine",
        )


def run_account(files: FileView, user: str) -> Account:
    """The identity that `USER user` gives a process (runtime-spec config.md#user; docker's rules for names).

    A number that is not in passwd keeps group 0; a name must be there. Naming a group drops the supplementary ones.

    Raises:
        BuildError: a name that the image does not know.
    """
    name, _, group = (user or "0").partition(":")
    number = _number(name)
    row = next(
        (r for r in _table(files, "etc/passwd", 7) if r[0] == name or (number is not None and r[2] == name)), None
    )
    if row is None and number is None:
        raise BuildError(
            f'unable to find user "{name}" in the image', hint="add it with RUN adduser, or give its number"
        )
    uid = _number(row[2]) if row else number
    gid = _number(row[3]) if row else 0
    if uid is None or gid is None:
        raise BuildError(f'USER: the line of "{name}" in the image\'s /etc/passwd is malformed')
    home = row[5] if row and row[5] else "/"
    if group:
        found = _group_id(files, group)
        if found is None:
            raise BuildError(
                f'unable to find group "{group}" in the image', hint="add it with RUN addgroup, or give its number"
            )
        return Account(uid, found, (found,), home)
    groups = [gid]
    if row:
        for line in _table(files, "etc/group", 4):
            number = _number(line[2])
            if number is not None and number != gid and row[0] in line[3].split(","):
                groups.append(number)
    return Account(uid, gid, tuple(groups), home)
