"""What fetching asks of others: a way to send a request, a place to keep bytes, secrets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from pyoci.image.descriptor import Descriptor
from pyoci.values import dataclass

__all__ = ["Answer", "Blob", "ExchangeFailed", "FetchStore", "Get", "Secret", "Ssh"]

Secret: TypeAlias = Callable[[str], "bytes | None"]
"""A secret by its ID; None if the build was given none of that ID."""


class Answer(Protocol):
    """An HTTP answer whose body is still to be read. Must be finished or closed."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""

    def length(self) -> int | None:
        """Bytes of the body; None when the server does not say."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body as sent; empty at its end.

        Raises:
            ExchangeFailed: the connection broke, stalled, or ended before the promised length.
        """

    def finish(self) -> None:
        """Reads away what is left, if it is little, so that the connection can be used again."""

    def close(self) -> None:
        """Gives the connection up."""


Get: TypeAlias = Callable[[str, Mapping[str, str]], Answer]
"""Sends one GET request with these headers: no redirects, no retries. Raises ExchangeFailed."""


class ExchangeFailed(Exception):
    """There was no whole answer. The text is one line, names the host and holds no secret."""

    def __init__(self, text: str, *, may_pass: bool, hint: str | None = None) -> None:
        super().__init__(text)
        self.may_pass = may_pass
        """Whether trying again can help."""
        self.hint = hint


class Blob(Protocol):
    """A blob that is being written."""

    stream: BinaryIO

    def commit(self, descriptor: Descriptor) -> None:
        """Puts the blob under its digest."""


class FetchStore(Protocol):
    """What is used of the content store."""

    root: Path

    def has(self, descriptor: Descriptor) -> bool: ...

    def open(self, descriptor: Descriptor) -> BinaryIO: ...

    def new_blob(self) -> AbstractContextManager[Blob]:
        """A blob that vanishes unless it is committed inside the block."""

    def temporary_path(self, kind: str) -> Path:
        """A path in the store's file system that nothing has yet."""

    def read_file(self, folder: str, name: str) -> bytes | None: ...

    def write_file(self, folder: str, name: str, data: bytes) -> None: ...

    def lock_file(self, name: str) -> AbstractContextManager[None]:
        """Holds a named lock that other processes see."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How git reaches a repository over ssh."""

    agent: Path | None = None
    """The socket of an agent."""
    key: Path | None = None
    """A private key instead of an agent."""
    known_hosts: tuple[Path, ...] = ()
    """Files with the keys of hosts; the first is where the key of a new host is noted."""
