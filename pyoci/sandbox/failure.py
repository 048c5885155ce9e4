"""Errors of the worker's side, which crosses to the builder as words and never as a traceback.

Part of the worker: imports nothing but built-in modules.
"""

from __future__ import annotations

import errno

__all__ = ["Attempt", "Failure", "failure_of", "reason_of"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class Failure(Exception):
    """An operation failed for a reason that the user can be told; the builder raises it as an error of `errors.py`."""

    def __init__(self, message: str, hint: str = "", kind: str = "SandboxError") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind
        """Name of the class in `pyoci.errors`."""


def reason_of(error: OSError) -> str:
    """What the kernel said, in lower case and with the name that people search for: `no such process (ESRCH)`."""
    name = errno.errorcode.get(error.errno or 0, "")
    text = (error.strerror or str(error) or "unknown error").lower()
    return f"{text} ({name})" if name else text


def failure_of(error: BaseException) -> Failure:
    """What the user is told of an error that nobody expected: the kernel's reason and path, or the type and text."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError):
        path = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else error.filename
        return Failure(f'"{path}": {reason_of(error)}' if isinstance(path, str) and path else reason_of(error))
    return Failure(f"{type(error).__name__}: {error}")


class Attempt:
    """`with Attempt("cannot mount /proc", "hint")`: an OSError inside becomes a Failure that says what was
    attempted.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise Failure(f"{self.message}: {reason_of(error)}", self.hint) from error
