"""Downloads: one URL to a blob in the store, verified, and asked for again only if the server says that it changed.

Redirects are followed; credentials go to the origin that they were given for and to no other; TLS is never left. What
was fetched is remembered by its URL with `ETag` and `Last-Modified`, so that the next build asks with a condition
(RFC 9110 section 13). Which secrets count, the file's mode and its time are BuildKit's (moby/buildkit source/http).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from typing import BinaryIO, NoReturn, cast

from pyoci.digest import Digest
from pyoci.errors import BuildError, Cancelled, DigestMismatch, LayerError
from pyoci.fetch.body import AnswerBody
from pyoci.fetch.download_record import DownloadRecord, http_time, load_record, save_record
from pyoci.fetch.one_file import OneFile
from pyoci.fetch.protocols import Answer, ExchangeFailed, FetchStore, Get, Secret
from pyoci.fetch.redirects import follow
from pyoci.fetch.url import Url, parse_url, public
from pyoci.image.descriptor import Descriptor
from pyoci.layer.compression import open_decompressed
from pyoci.layer.entry import Entry, LayerPath
from pyoci.progress import Reporter
from pyoci.values import dataclass

__all__ = ["Download", "HttpFetcher", "HttpSettings"]

_RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 19
"""See `content/layout.py`."""
_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How patient a download is, and what it may cost."""

    attempts: int = 3
    backoff_seconds: float = 0.5
    """Before the second attempt; doubled before each further one."""
    limit_bytes: int = 64 << 30
    """The largest file."""
    offline: bool = False
    """What was fetched before is used unasked, and anything else is an error."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is in the store now."""

    digest: Digest
    size: int
    last_modified: int
    """Seconds since 1970; 0 where the server did not say."""

    @property
    def descriptor(self) -> Descriptor:
        """Of the blob."""
        return Descriptor(_MEDIA_TYPE, self.digest, self.size)


class HttpFetcher:
    """Downloads for one command. A URL is asked for once; may be used from several threads."""

    def __init__(
        self,
        store: FetchStore,
        get: Get,
        secret: Secret,
        *,
        settings: HttpSettings | None = None,
        reporter: Reporter | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._get = get
        self._secret = secret
        self._settings = settings or HttpSettings()
        self._reporter = reporter or Reporter()
        self._cancelled = cancelled or threading.Event()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._downloads: dict[str, Download] = {}

    def fetch(self, url: str, *, checksum: Digest | None = None, limit_bytes: int = 0) -> Download:
        """The file behind a URL, in the store. If the store has what `checksum` (sha256) promises, nothing is asked.

        Raises:
            BuildError: the URL is malformed, the server does not have it, or cannot be reached.
            DigestMismatch: the file has another digest; nothing is kept.
            UsageError: a secret cannot be read.
        """
        try:
            parts = parse_url(url)
        except ValueError as error:
            raise BuildError(f'"{public(url)}" is not a URL: {error}') from error
        if not parts.host:
            raise BuildError(f'"{public(url)}" is not a URL: no host in request URL')
        key = parts.without_credentials
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            known = self._downloads.get(key)
            if known is None:
                limit = limit_bytes or self._settings.limit_bytes
                known = self._downloads[key] = self._fetched(parts, checksum, limit)
        _verify(parts, known.digest, checksum)
        return known

    def file(
        self, url: str, name: str, *, checksum: Digest | None = None, limit_bytes: int = 0
    ) -> tuple[OneFile, Download]:
        """The same as a tree with one file of that name: mode 0600, owner root, time of `Last-Modified`.

        Raises:
            BuildError and others: as `fetch`.
        """
        download = self.fetch(url, checksum=checksum, limit_bytes=limit_bytes)
        entry = Entry(LayerPath(name), "file", mode=0o600, size=download.size, mtime=download.last_modified)
        return OneFile(entry, download.digest, lambda: self._store.open(download.descriptor)), download

    def _fetched(self, url: Url, checksum: Digest | None, limit: int) -> Download:
        record = load_record(self._store, url.without_credentials)
        if record is not None and not self._store.has(_of(record).descriptor):
            record = None
        if record is not None and (self._settings.offline or record.digest == checksum):
            return _of(record)
        if self._settings.offline:
            raise BuildError(
                f"cannot fetch {public(url.without_credentials)}: the network is not to be used",
                hint="build once with the network: what is fetched then is kept",
            )
        failed = 0
        while True:
            if self._cancelled.is_set():
                raise Cancelled
            try:
                return self._attempt(url, record, checksum, limit)
            except ExchangeFailed as failure:
                failed += 1
                if not failure.may_pass or failed >= self._settings.attempts:
                    shown = public(url.without_credentials)
                    raise BuildError(f"cannot fetch {shown}: {failure}", hint=failure.hint) from failure
            self._cancelled.wait(self._settings.backoff_seconds * 2.0 ** (failed - 1))

    def _attempt(self, url: Url, record: DownloadRecord | None, checksum: Digest | None, limit: int) -> Download:
        conditions = record.conditions() if record else {}
        answer, _, _ = follow(self._get, url, conditions, self._authorization(url))
        if record is not None and (answer.status == 304 or (answer.status == 200 and _same(answer, record))):
            answer.close()
            return _of(record)
        if answer.status != 200:
            answer.finish()
            if answer.status in _RETRY_STATUSES:
                raise ExchangeFailed(f"invalid response status {answer.status}", may_pass=True)
            _refuse(url, answer.status)
        try:
            return self._save(url, answer, checksum, limit)
        finally:
            answer.close()

    def _authorization(self, url: Url) -> str:
        """The value of the header; empty for none. A token wins over a header, a secret over the URL's user."""
        token = self._secret(f"HTTP_AUTH_TOKEN_{url.hostname}")
        header = self._secret(f"HTTP_AUTH_HEADER_{url.hostname}")
        if token is not None:
            return "Bearer " + _header_value(token, f"HTTP_AUTH_TOKEN_{url.hostname}")
        if header is not None:
            return _header_value(header, f"HTTP_AUTH_HEADER_{url.hostname}")
        if url.user is None:
            return ""
        pair = f"{url.user}:{url.password or ''}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def _save(self, url: Url, answer: Answer, checksum: Digest | None, limit: int) -> Download:
        shown = public(url.without_credentials)
        hashed = hashlib.sha256()
        size = 0
        promised = answer.length()
        if promised is not None and promised > limit:
            raise BuildError(f"cannot fetch {shown}: it has {promised} bytes, and the limit is {limit}")
        body: BinaryIO = cast("BinaryIO", AnswerBody(answer))
        if answer.header("Content-Encoding").lower() == "gzip":
            body = open_decompressed(body, "gzip")  # unasked, but BuildKit's client takes it off as well
        self._reporter.transfer_started(shown, "pull", promised or 0)
        try:
            with self._store.new_blob() as blob:
                while data := body.read(_CHUNK):
                    if self._cancelled.is_set():
                        raise Cancelled
                    size += len(data)
                    if size > limit:
                        raise BuildError(f"cannot fetch {shown}: it has more than the {limit} bytes of the limit")
                    hashed.update(data)
                    blob.stream.write(data)
                    self._reporter.transfer_advanced(shown, size)
                digest = Digest("sha256:" + hashed.hexdigest())
                _verify(url, digest, checksum)
                blob.commit(Descriptor(_MEDIA_TYPE, digest, size))
        except LayerError as error:
            raise BuildError(f"cannot fetch {shown}: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise BuildError(f"cannot keep what {shown} sends: {error.strerror or error}") from error
        self._reporter.transfer_done(shown, "done")
        record = DownloadRecord(digest, size, answer.header("ETag"), answer.header("Last-Modified"))
        save_record(self._store, url.without_credentials, record)
        return _of(record)


def _of(record: DownloadRecord) -> Download:
    return Download(record.digest, record.size, http_time(record.last_modified))


def _same(answer: Answer, record: DownloadRecord) -> bool:
    """Whether a server that ignores conditions sends what is there already."""
    tag = answer.header("ETag")
    return bool(tag) and tag.removeprefix("W/") == record.etag.removeprefix("W/")


def _verify(url: Url, digest: Digest, checksum: Digest | None) -> None:
    if checksum is not None and digest != checksum:
        raise DigestMismatch(
            f"digest mismatch for {public(url.without_credentials)}: {digest} (expected: {checksum})",
            hint="the file is not the one that the checksum was made of: find out why before you change the checksum",
        )


def _header_value(secret: bytes, name: str) -> str:
    """The secret as a header's value: without the line end that a file has."""
    value = secret.decode("utf-8", "surrogateescape").strip()
    if not value.isprintable():
        raise BuildError(f'secret "{name}" has a line break or control character inside')
    return value


def _refuse(url: Url, status: int) -> NoReturn:
    hint = None
    if status in (401, 403):
        hint = f"it wants credentials: give a token with --secret id=HTTP_AUTH_TOKEN_{url.hostname}"
    elif status in (404, 410):
        hint = "check the URL"
    raise BuildError(
        f"cannot fetch {public(url.without_credentials)}: invalid response status {status}",
        hint=hint,
    )
