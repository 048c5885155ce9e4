"""What a client is told when it cannot have its way. Spec: distribution-spec, "Error Codes"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from pyoci.digest import Digest
from pyoci.values import dataclass, field

__all__ = ["Code", "Fault", "Refused", "blob_unknown", "error_body", "manifest_unknown"]

Code: TypeAlias = Literal[
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    "UNKNOWN",
]
"""Those of the specification; UNKNOWN is docker's for what is the server's own fault."""

_MESSAGE_LIMIT = 1000
_FAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of an error body."""

    code: Code
    message: str
    detail: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Ends a request with a status and an error body. Not for users of pyoci: it never leaves the server."""

    def __init__(
        self,
        status: int,
        code: Code,
        message: str,
        *,
        detail: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        others: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.faults = (Fault(code, message, detail or {}), *others)
        self.headers = dict(headers or {})


def error_body(faults: Sequence[Fault]) -> bytes:
    """The JSON that tells faults; a long list is cut, a long message shortened."""
    errors = [
        {"code": fault.code, "message": fault.message[:_MESSAGE_LIMIT], "detail": dict(fault.detail)}
        for fault in faults[:_FAULT_LIMIT]
    ]
    return json.dumps({"errors": errors}).encode()


def blob_unknown(digest: Digest) -> Refused:
    """The repository has no such blob."""
    return Refused(404, "BLOB_UNKNOWN", f"this repository has no blob {digest}", detail={"digest": digest})


def manifest_unknown(reference: str) -> Refused:
    """The repository has no manifest of that tag or digest."""
    return Refused(
        404, "MANIFEST_UNKNOWN", f'this repository has no manifest "{reference}"', detail={"reference": reference}
    )
