"""Where each file of a tar begins: one pass over the headers, no bytes of files read, nothing unpacked.

Reads v7, ustar, GNU and pax headers, with a bound on everything that a header can ask memory for. A name is no more
than a key: no path of the tar is ever used on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from posixpath import dirname
from typing import TYPE_CHECKING

from pyoci.errors import ContentError
from pyoci.values import dataclass

if TYPE_CHECKING:
    from tarfile import TarInfo

__all__ = ["Member", "TarIndex", "index_tar"]

_BLOCK = 512
_EXTENSION_LIMIT = 1 << 20
_ENTRY_LIMIT = 100_000
_HOP_LIMIT = 8
_FILES = (b"0", b"\0", b"7")
_EXTENSIONS = (b"x", b"L", b"K")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file inside a tar."""

    offset: int
    size: int


class TarIndex:
    """Regular files by name, links followed inside the tar. The last of several entries with one name counts."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._files: dict[str, Member] = {}
        self._links: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> Member | None:
        """The file that the name stands for, or None.

        Raises:
            ContentError: links go round in a circle.
        """
        for _ in range(_HOP_LIMIT):
            if name in self._files:
                return self._files[name]
            if name not in self._links:
                return None
            name = self._links[name]
        raise ContentError(f'"{name}" in {self.where} is a link to a link, more than {_HOP_LIMIT} times')

    def at(self, path: str) -> Member | None:
        """As `get`, of a path in any spelling: `./a//b`, `/a/b` and `x/../a/b` are `a/b`. None if it leads out."""
        try:
            name = _key(path, self.where)
        except ContentError:
            return None
        return self.get(name)

    def names(self) -> Iterator[str]:
        """Names of files and of links."""
        yield from self._files
        yield from self._links

    def add(self, name: str, member: Member) -> None:
        self._links.pop(name, None)
        self._files[name] = member

    def add_link(self, name: str, target: str) -> None:
        self._files.pop(name, None)
        self._links[name] = target


def _key(name: str, where: str, folder: str = "") -> str:
    """One spelling per path; `./a//b` and `/a/b` are `a/b`. A relative link begins in `folder`."""
    parts: list[str] = [] if name.startswith("/") else [part for part in folder.split("/") if part]
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise ContentError(f'"{name}" in {where} points out of the archive')
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def index_tar(read_at: Callable[[int, int], bytes], size: int, where: str) -> TarIndex:
    """The index of a tar of `size` bytes; `read_at(offset, count)` gives its bytes, `where` names it in errors.

    Raises:
        ContentError: it is no tar, is cut short or damaged, or holds what an image archive never does.
    """
    from tarfile import HeaderError, TarInfo

    index = TarIndex(where)
    position = 0
    pending: dict[str, str] = {}
    for _ in range(_ENTRY_LIMIT):
        block = read_at(position, _BLOCK)
        if not block.strip(b"\0"):
            return index
        try:
            header = TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except HeaderError as error:
            what = "is not a tar" if position == 0 else f"is damaged: {error} at offset {position}"
            raise ContentError(f"{where} {what}", hint="a docker or OCI archive is wanted") from None
        data = position + _BLOCK
        length = _number(pending.get("size"), header.size, where)
        if header.type in _WITHOUT_DATA:
            length = 0
        if not 0 <= length <= size - data:
            raise ContentError(f'{where} is cut short: "{header.name}" should have {length} bytes')
        if header.type in _EXTENSIONS:
            pending.update(_extension(header.type, read_at, data, length, where))
        elif header.type != b"g":
            _add(index, header, pending, Member(data, length))
            pending = {}
        position = data + -(-length // _BLOCK) * _BLOCK
    raise ContentError(f"{where} has more than {_ENTRY_LIMIT} entries")


def _add(index: TarIndex, header: TarInfo, extended: dict[str, str], member: Member) -> None:
    name = _key(extended.get("path", header.name), index.where)
    if header.type == b"S" or any(key.startswith("GNU.sparse.") for key in extended):
        raise ContentError(f'"{name}" in {index.where} is a sparse file, which image archives do not have')
    if header.type in _FILES:
        index.add(name, member)
    elif header.type == b"1":
        index.add_link(name, _key(extended.get("linkpath", header.linkname), index.where))
    elif header.type == b"2":
        index.add_link(name, _key(extended.get("linkpath", header.linkname), index.where, dirname(name)))


def _number(text: str | None, default: int, where: str) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ContentError(f'{where} is damaged: "{text[:40]}" is not a size')
    return int(text)


def _extension(
    kind: bytes, read_at: Callable[[int, int], bytes], offset: int, length: int, where: str
) -> dict[str, str]:
    """What an extension header says of the entry after it, by the keys of pax."""
    if length > _EXTENSION_LIMIT:
        raise ContentError(f"{where} has an extension header of {length} bytes, {_EXTENSION_LIMIT} are allowed")
    data = read_at(offset, length)
    if kind == b"x":
        return _pax_records(data, where)
    text = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return {"path" if kind == b"L" else "linkpath": text}


def _pax_records(data: bytes, where: str) -> dict[str, str]:
    """Records of the form `LENGTH KEY=VALUE` and a line feed; the length counts all of it (pax, POSIX.1-2017)."""
    records: dict[str, str] = {}
    while data.strip(b"\0"):
        digits, space, _ = data.partition(b" ")
        length = int(digits) if space and digits.isdigit() and len(digits) < 8 else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or length > len(data) or not record.endswith(b"\n"):
            raise ContentError(f"{where} is damaged: a pax header has a record that cannot be read")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        data = data[length:]
    return records
