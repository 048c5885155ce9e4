"""What is remembered of a URL between builds: which bytes came, and how to ask whether they are still right."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from email.utils import parsedate_to_datetime

from pyoci.digest import Digest, parse_digest
from pyoci.errors import PyociError
from pyoci.fetch.protocols import FetchStore
from pyoci.values import asdict, dataclass

__all__ = ["FOLDER", "DownloadRecord", "http_time", "load_record", "save_record"]

FOLDER = "fetched"
"""Of the store, for records of this package. Names are digests: URLs may hold what nobody should read."""


@dataclass(frozen=True, slots=True)
class DownloadRecord:
    """The last answer of one URL."""

    digest: Digest
    size: int
    etag: str
    last_modified: str

    def conditions(self) -> dict[str, str]:
        """The headers of a request that is answered with 304 if nothing changed (RFC 9110 section 13.1)."""
        headers = {}
        if self.etag:
            headers["If-None-Match"] = self.etag
        if self.last_modified:
            headers["If-Modified-Since"] = self.last_modified
        return headers


def load_record(store: FetchStore, url: str) -> DownloadRecord | None:
    """What is remembered of a URL; None if nothing is, or it cannot be read."""
    raw = store.read_file(FOLDER, _name(url))
    if raw is None:
        return None
    try:
        value = json.loads(raw)
        return DownloadRecord(
            parse_digest(value["digest"]), int(value["size"]), str(value["etag"]), str(value["last_modified"])
        )
    except (ValueError, KeyError, TypeError, PyociError):
        return None


def save_record(store: FetchStore, url: str, record: DownloadRecord) -> None:
    """Remembers an answer.

    Raises:
        ContentError: the store cannot be written.
    """
    (store.root / FOLDER).mkdir(exist_ok=True)
    store.write_file(FOLDER, _name(url), json.dumps(asdict(record)).encode())


def http_time(text: str) -> int:
    """An HTTP date (RFC 9110 section 5.6.7) as seconds since 1970; 0 for what is none, or lies before."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp()))


def _name(url: str) -> str:
    return "http-" + hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
