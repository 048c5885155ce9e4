"""Every error that pyoci raises on purpose.

    PyociError(message, hint, location)
    ├── UsageError            the request contradicts itself                       exit status 2
    ├── DockerfileError       cannot be parsed or planned; located
    ├── BakeError             a bake or Compose file cannot be read or resolved; located
    ├── BuildError            a step failed; located
    │   └── CommandFailed     a RUN exited non-zero; carries its status and last output
    ├── SandboxError          isolation cannot be set up here
    ├── ContentError          bytes are not what was promised
    │   ├── ContentNotFound   nothing is stored under that name or digest
    │   ├── DigestMismatch    size or digest differ from the descriptor
    │   └── InvalidDocument   a manifest, index or config breaks its specification (with the JSON path)
    ├── LayerError            a tar entry is unsafe, malformed or cannot be represented
    ├── RegistryError         a registry answered with an error, or not at all
    │   └── Unauthorized      credentials are missing, wrong or insufficient
    ├── PreflightError        the finished image cannot run
    └── Cancelled             interrupted by the user                              exit status 130

Anything else that escapes is a bug. A message is one line, lower case, in the user's own words; a hint says what to do.
Errors are rendered in one place, `cli/render_error.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyoci.location import Location

__all__ = [
    "BakeError",
    "BuildError",
    "Cancelled",
    "CommandFailed",
    "ContentError",
    "ContentNotFound",
    "DigestMismatch",
    "DockerfileError",
    "InvalidDocument",
    "LayerError",
    "PreflightError",
    "PyociError",
    "RegistryError",
    "SandboxError",
    "Unauthorized",
    "UsageError",
    "located",
    "raise_collected",
]


_UNSEEN = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {number: ascii(chr(number))[1:-1] for number in _UNSEEN}


def _one_line(text: str) -> str:
    """The text with control and direction signs spelt out: what it quotes may come from a hostile document."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class PyociError(Exception):
    """Base of the tree above. Message and hint become one line each, safe for a terminal."""

    def __init__(self, message: str, *, hint: str | None = None, location: Location | None = None) -> None:
        message = _one_line(message)
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is None else _one_line(hint)
        self.location = location
        self.others: tuple[PyociError, ...] = ()
        """Independent errors found in the same pass; each is shown after this one."""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Comes back whole from a worker process, though the constructors of some errors want more than a message."""
        return self.__class__.__new__, (self.__class__, self.message), self.__dict__


class UsageError(PyociError):
    """The request contradicts itself or names what does not exist on the command line."""


class DockerfileError(PyociError):
    """The Dockerfile cannot be parsed or planned."""


class BakeError(PyociError):
    """A bake or Compose file cannot be read, or its targets cannot be resolved."""


class BuildError(PyociError):
    """A step could not be carried out."""


class CommandFailed(BuildError):
    """A RUN exited with a status other than 0."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        output_tail: Sequence[str] = (),
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.status = status
        """Exit status, or 128 + signal number."""
        self.output_tail = tuple(output_tail)
        """The last lines that the command printed."""


class SandboxError(PyociError):
    """The isolation that a RUN needs cannot be set up on this machine."""


class ContentError(PyociError):
    """Bytes are missing or are not what was promised."""


class ContentNotFound(ContentError):
    """Nothing is stored under that name or digest."""


class DigestMismatch(ContentError):
    """Bytes do not have the size or the digest of their descriptor."""

    elsewhere = False
    """Whether the source has put aside the place that they came from: opened again, it reads from another one."""


class InvalidDocument(ContentError):
    """A JSON document breaks its specification; the message names the JSON path."""


class LayerError(PyociError):
    """A layer's tar is malformed, unsafe or cannot be represented."""


class RegistryError(PyociError):
    """A registry refused a request or could not be reached.

    `url` is without credentials and query.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        status: int = 0,
        code: str = "",
        detail: str = "",
        retry_after_seconds: float | None = None,
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.method = method
        self.url = url
        self.status = status
        """HTTP status; 0 when there was no answer."""
        self.code = code
        """Error code of distribution-spec, such as MANIFEST_UNKNOWN; empty when none was sent."""
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        """What the registry asked to wait; None when it did not."""


class Unauthorized(RegistryError):
    """The registry wants credentials, or others than those it got."""


class PreflightError(PyociError):
    """The finished image cannot run as configured."""


class Cancelled(PyociError):
    """The user interrupted the work."""

    def __init__(self, message: str = "interrupted") -> None:
        super().__init__(message)


@contextmanager
def located(location: Location | None) -> Iterator[None]:
    """Gives every PyociError that passes through the place in the Dockerfile that it came from, if it has none yet."""
    try:
        yield
    except PyociError as error:
        if error.location is None:
            error.location = location
        raise


def raise_collected(errors: Sequence[PyociError]) -> None:
    """Raises the first of several independent errors, carrying the others; returns if there are none."""
    if errors:
        first, *others = errors
        first.others = (*first.others, *others)
        raise first
