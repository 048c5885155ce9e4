"""A distribution server in this process, over real HTTP on loopback, that misbehaves on request.

Small and strict where a registry may be strict: blobs are accepted only under their digest, manifests only when all
they point at is there, tokens only for what they were given for. Every request is remembered with its headers. Faults
are taken from a list: the first one that fits a request is used, as many times as it says.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Respond:
    """Answers at once, without doing anything."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reset:
    """Ends the connection: after so many bytes of the request's body, and without an answer."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Does what is asked and then ends the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Says nothing for a while, before the answer or after so many bytes of its body, and then hangs up."""

    seconds: float
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Sends so many bytes of the body, and the rest when it is released."""

    after: int
    released: threading.Event


@dataclass(frozen=True, slots=True)
class Trickle:
    """Sends the body a few bytes at a time, so that the connection is never silent for long and never gets on."""

    pause: float
    size: int = 1
    headers: bool = False
    """Already the headers come so, and never end."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Thinks for a while and then does what is asked."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Promises the whole body and hangs up after a part of it; `honest` promises only that part."""

    after: int
    honest: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Alters the answer: headers are set (or removed, where empty), the body goes through a function."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[bytes], bytes] = bytes
    status: int = 0


@dataclass(frozen=True, slots=True)
class EchoSecrets:
    """Answers with a status and repeats in its error message what it was sent as `Authorization`."""

    status: int


Action: TypeAlias = Respond | Reset | LoseAnswer | Stall | Hold | Delay | Trickle | Cut | Change | EchoSecrets


@dataclass(slots=True)
class Fault:
    """What goes wrong, for which requests and how often."""

    action: Action
    method: str = ""
    path: str = ""
    """Searched for in path and query, as a regular expression."""
    times: int = 1

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and re.search(self.path, path) is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    """With query."""
    headers: Mapping[str, str]
    body_bytes: int


@dataclass(slots=True)
class Repo:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes by digest."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Token:
    scopes: frozenset[str]
    uses: int | None


@dataclass(slots=True)
class FakeRegistry:
    """The server's state and settings; `fake_registry` runs it."""

    auth: str = ""
    """`basic`, `bearer` or nothing."""
    user: str = "joe"
    password: str = "hunter2-secret"
    identity_token: str = ""
    anonymous_pull: bool = False
    token_uses: int | None = None
    """Requests that a token is good for."""
    realm: str = ""
    """Of the token server; its own when empty."""
    mounts: bool = True
    lists_referrers: bool = True
    heeds_conditions: bool = False
    """Whether a manifest is only stored where `If-Match` and `If-None-Match` hold."""
    chunk_min: int = 0
    keeps_partial: bool = True
    """Whether what arrived of a broken request counts, and can be gone on from."""
    page: int = 2
    deletes: bool = True
    blob_redirect: str = ""
    """Blobs are at this URL plus their digest."""
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    repos: dict[str, Repo] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    host: str = ""
    tls: ssl.SSLContext | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def repo(self, name: str) -> Repo:
        return self.repos.setdefault(name, Repo())

    def add_blob(self, repo: str, data: bytes) -> str:
        digest = digest_of(data)
        self.repo(repo).blobs[digest] = data
        return digest

    def add_manifest(self, repo: str, data: bytes, media_type: str, *tags: str) -> str:
        digest = digest_of(data)
        self.repo(repo).manifests[digest] = (media_type, data)
        for tag in tags:
            self.repo(repo).tags[tag] = digest
        return digest

    def requests(self, method: str = "", path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if method in ("", seen.method) and re.search(path, seen.path)]

    def sent_bytes(self) -> int:
        """Bytes of request bodies that arrived in all."""
        return sum(seen.body_bytes for seen in self.seen)

    def take_fault(self, method: str, path: str) -> Action | None:
        with self.lock:
            for fault in self.faults:
                if fault.fits(method, path):
                    fault.times -= 1
                    return fault.action
        return None


def digest_of(data: bytes | bytearray) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def fake_registry(registry: FakeRegistry | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[FakeRegistry]:
    """Runs a registry on a free port of 127.0.0.1 until the block ends."""
    state = registry or FakeRegistry()
    server = _Server(("127.0.0.1", 0), state, tls)
    state.tls = tls
    state.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], state: FakeRegistry, tls: ssl.SSLContext | None) -> None:
        self.state = state
        self.tls = tls
        self.open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        first = request.recv(1, socket.MSG_PEEK)
        if (first == b"\x16") != (self.tls is not None):
            if first and self.tls is None:  # as Go's server does: the client learns that this is no TLS
                request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")
            return
        if self.tls is None:
            _Handler(request, client_address, self)
            return
        request.settimeout(10)
        try:
            wrapped = self.tls.wrap_socket(request, server_side=True)
        except BaseException:
            request.close()
            raise
        self.open.add(wrapped)
        try:
            wrapped.settimeout(None)
            _Handler(wrapped, client_address, self)
        finally:
            self.open.discard(wrapped)
            wrapped.close()

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about."""


class _HangUp(Exception):
    """Ends the connection now."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # the base class names it so
        """Says nothing."""

    def do_GET(self) -> None:  # the base class names it so
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 (as above)

    def _serve(self) -> None:
        self.state = self.server.state
        self.action = self.state.take_fault(self.command, self.path)
        self.body = bytearray()
        self.partial: Callable[[bytes], None] = lambda data: None
        try:
            self._dispatch()
        except (_HangUp, OSError):
            self.close_connection = True

    def _dispatch(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(parts.query).items()}
        if upload := re.fullmatch(r"/v2/(.+)/blobs/uploads/([0-9a-z]+)", parts.path):
            self.partial = self._keep_in(upload[2])
        self._read_body()
        self._remember()
        match self.action:
            case Respond(status, body, headers):
                return self._answer(status, body, headers)
            case EchoSecrets(status):
                said = self.headers.get("Authorization", "nobody")
                return self._error(status, "DENIED", f"go away, {said}, {said.partition(' ')[2]}")
            case Stall(seconds, None):
                time.sleep(seconds)
                raise _HangUp
            case Delay(seconds):
                time.sleep(seconds)
            case Trickle(pause, _, True):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                for _ in range(1000):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(pause)
                raise _HangUp
            case _:
                pass
        if parts.path == "/token":
            return self._token(query, bytes(self.body))
        if not self._authorized(parts.path, query):
            return None
        return self._route(parts.path, query)

    # -- request bodies

    def _read_body(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        limit = self.action.after if isinstance(self.action, Reset) else length
        while len(self.body) < min(length, limit):
            data = self.rfile.read1(min(65536, min(length, limit) - len(self.body)))
            if not data:
                self._remember()
                self.partial(bytes(self.body))
                raise _HangUp
            self.body += data
        if isinstance(self.action, Reset):
            self._remember()
            if self.state.keeps_partial:
                self.partial(bytes(self.body))
            self._reset()

    def _keep_in(self, upload: str) -> Callable[[bytes], None]:
        def keep(data: bytes) -> None:
            with self.state.lock:
                if upload in self.state.uploads and self.state.keeps_partial:
                    self.state.uploads[upload] += data

        return keep

    def _remember(self) -> None:
        with self.state.lock:
            self.state.seen.append(Seen(self.command, self.path, dict(self.headers.items()), len(self.body)))

    def _reset(self) -> None:
        """With linger 0 a close sends RST instead of FIN."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _HangUp

    # -- answers

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        merged = {"Docker-Distribution-Api-Version": "registry/2.0", **(headers or {})}
        action = self.action
        match action:
            case LoseAnswer():
                self._reset()
            case Change(changed, alter, new_status):
                body = alter(body)
                merged.update(changed)
                status = new_status or status
            case _:
                pass
        if self.command != "HEAD":
            merged.setdefault("Content-Length", str(len(body)))
        if isinstance(action, Cut) and action.honest:
            merged["Content-Length"] = str(min(action.after, len(body)))
        self.send_response_only(status)
        for name, value in merged.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        match action:
            case Cut(after, honest):
                self.wfile.write(body[:after])
                if not honest:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    raise _HangUp
            case Trickle(pause, size, False):
                for at in range(0, len(body), size):
                    self.wfile.write(body[at : at + size])
                    self.wfile.flush()
                    time.sleep(pause)
            case Hold(after, released):
                self.wfile.write(body[:after])
                self.wfile.flush()
                released.wait(120)
                self.wfile.write(body[after:])
            case Stall(seconds, int(after)):
                self.wfile.write(body[:after])
                self.wfile.flush()
                time.sleep(seconds)
                raise _HangUp
            case _:
                self.wfile.write(body)

    def _error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    # -- who may

    def _authorized(self, path: str, query: Mapping[str, str]) -> bool:
        state, sent = self.state, self.headers.get("Authorization", "")
        if not state.auth:
            return True
        if state.auth == "basic":
            wanted = base64.b64encode(f"{state.user}:{state.password}".encode()).decode()
            if sent == f"Basic {wanted}":
                return True
            challenge = 'Basic realm="fake, quoted \\"registry\\""'
            self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
            return False
        needed = self._scopes_needed(path, query)
        with state.lock:
            token = state.tokens.get(sent.removeprefix("Bearer ")) if sent.startswith("Bearer ") else None
            if token is not None and token.uses is not None:
                token.uses -= 1
            good = token is not None and (token.uses is None or token.uses >= 0)
        if good and token is not None and needed <= token.scopes:
            return True
        realm = state.realm or f"{state.url}/token"
        text = " ".join(sorted(_joined(needed)))
        scope = f',scope="{text}"' if needed else ""
        error = ',error="invalid_token"' if token is not None and not good else ""
        challenge = f'Bearer realm="{realm}",service="fake"{scope}{error}'
        self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        return False

    def _scopes_needed(self, path: str, query: Mapping[str, str]) -> frozenset[str]:
        match = re.fullmatch(r"/v2/(.+)/(?:blobs|manifests|tags|referrers)/.*", path)
        if match is None:
            return frozenset()
        actions = {"GET": ("pull",), "HEAD": ("pull",), "DELETE": ("delete",)}.get(self.command, ("pull", "push"))
        if "/blobs/uploads/" in path:
            actions = ("pull", "push")
        needed = {f"repository:{match[1]}:{action}" for action in actions}
        if query.get("from"):
            needed.add(f"repository:{query['from']}:pull")
        return frozenset(needed)

    def _token(self, query: Mapping[str, str], body: bytes) -> None:
        state = self.state
        if self.command == "POST":
            form = urllib.parse.parse_qs(body.decode())
            known = bool(state.identity_token) and form.get("refresh_token") == [state.identity_token]
            scopes = " ".join(form.get("scope", [])).split()
            if not known or form.get("grant_type") != ["refresh_token"]:
                return self._error(401, "UNAUTHORIZED", "bad refresh token")
        else:
            all_query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            scopes = all_query.get("scope", [])
            wanted = base64.b64encode(f"{state.user}:{state.password}".encode()).decode()
            sent = self.headers.get("Authorization", "")
            known = sent == f"Basic {wanted}"
            if sent and not known:
                return self._error(401, "UNAUTHORIZED", "incorrect username or password")
        granted = {
            f"{resource}:{action}"
            for scope in scopes
            for resource, _, actions in [scope.rpartition(":")]
            for action in actions.split(",")
            if known or (state.anonymous_pull and action == "pull")
        }
        with state.lock:
            name = f"token-{len(state.tokens)}-{hashlib.sha256(str(time.monotonic_ns()).encode()).hexdigest()}"
            state.tokens[name] = Token(frozenset(granted), state.token_uses)
        return self._answer(200, json.dumps({"token": name, "expires_in": 300}).encode())

    # -- the API of distribution-spec

    def _route(self, path: str, query: Mapping[str, str]) -> None:
        if path in ("/v2", "/v2/"):
            return self._answer(200, b"{}")
        routes: list[tuple[str, Callable[..., None]]] = [
            (r"/v2/(.+)/blobs/uploads/", self._begin_upload),
            (r"/v2/(.+)/blobs/uploads/([0-9a-z]+)", self._upload),
            (r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})", self._blob),
            (r"/v2/(.+)/manifests/([^/]+)", self._manifest),
            (r"/v2/(.+)/tags/list", self._tags),
            (r"/v2/(.+)/referrers/(sha256:[0-9a-f]{64})", self._referrers),
        ]
        for pattern, handler in routes:
            match = re.fullmatch(pattern, path)
            if match:
                with self.state.lock:
                    return handler(*match.groups(), query)
        return self._error(404, "UNSUPPORTED", "no such route")

    def _blob(self, name: str, digest: str, query: Mapping[str, str]) -> None:
        data = self.state.repo(name).blobs.get(digest)
        if data is None:
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        if self.command == "HEAD":
            return self._answer(200, b"", {**headers, "Content-Length": str(len(data))})
        if self.state.blob_redirect:
            return self._answer(307, b"", {"Location": self.state.blob_redirect + digest})
        return self._ranged(data, headers)

    def _ranged(self, data: bytes, headers: Mapping[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None:
            return self._answer(200, data, headers)
        start = int(match[1])
        if start >= len(data):
            return self._error(416, "RANGE_INVALID", "range not satisfiable")
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._answer(206, data[start:], {**headers, "Content-Range": span})

    def _begin_upload(self, name: str, query: Mapping[str, str]) -> None:
        mount = query.get("mount")
        if mount and self.state.mounts and mount in self.state.repo(query.get("from", "")).blobs:
            self.state.repo(name).blobs[mount] = self.state.repo(query["from"]).blobs[mount]
            headers = {"Location": f"/v2/{name}/blobs/{mount}", "Docker-Content-Digest": mount}
            return self._answer(201, b"", headers)
        upload = f"u{len(self.state.uploads)}x{time.monotonic_ns()}"
        self.state.uploads[upload] = bytearray()
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}?state=a%20b", "Range": "0-0"}
        if self.state.chunk_min:
            headers["OCI-Chunk-Min-Length"] = str(self.state.chunk_min)
        return self._answer(202, b"", headers)

    def _upload(self, name: str, upload: str, query: Mapping[str, str]) -> None:
        data = self.state.uploads.get(upload)
        if data is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        location = f"/v2/{name}/blobs/uploads/{upload}?state={len(data)}"
        if self.command == "DELETE":
            del self.state.uploads[upload]
            return self._answer(204)
        if self.command == "GET":
            return self._answer(204, b"", {"Location": location, "Range": f"0-{max(len(data) - 1, 0)}"})
        if self.command == "PATCH":
            match = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
            if match is not None and (
                int(match[1]) != len(data) or int(match[2]) + 1 - int(match[1]) != len(self.body)
            ):
                return self._error(416, "RANGE_INVALID", "another offset", {"Range": f"0-{max(len(data) - 1, 0)}"})
            data += self.body
            location = f"/v2/{name}/blobs/uploads/{upload}?state={len(data)}"
            return self._answer(202, b"", {"Location": location, "Range": f"0-{len(data) - 1}"})
        whole = bytes(data + self.body)
        if digest_of(whole) != query.get("digest"):
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.state.uploads[upload]
        digest = self.state.add_blob(name, whole)
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return self._answer(201, b"", headers)

    def _manifest(self, name: str, reference: str, query: Mapping[str, str]) -> None:
        repo = self.state.repo(name)
        if self.command == "PUT":
            return self._put_manifest(name, repo, reference)
        digest = reference if ":" in reference else repo.tags.get(reference, "")
        if digest not in repo.manifests:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if self.command == "DELETE":
            return self._delete_manifest(repo, reference, digest)
        media_type, data = repo.manifests[digest]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": digest, "Content-Length": str(len(data))}
        headers["ETag"] = f'"{digest}"'
        if isinstance(self.action, Change):
            del headers["Content-Length"]
            if self.command == "HEAD":
                headers["Content-Length"] = str(len(data))
        return self._answer(200, b"" if self.command == "HEAD" else data, headers)

    def _put_manifest(self, name: str, repo: Repo, reference: str) -> None:
        data = bytes(self.body)
        document = json.loads(data)
        below = [*document.get("layers", []), *([document["config"]] if "config" in document else [])]
        if any(child["digest"] not in repo.blobs for child in below):
            return self._error(404, "MANIFEST_BLOB_UNKNOWN", "manifest references a blob unknown to registry")
        if any(child["digest"] not in repo.manifests for child in document.get("manifests", [])):
            return self._error(404, "MANIFEST_UNKNOWN", "manifest references a manifest unknown to registry")
        digest = digest_of(data)
        current = repo.tags.get(reference, "")
        wanted = self.headers.get("If-Match", "").strip('"')
        if self.state.heeds_conditions and (
            (wanted and wanted != current) or (self.headers.get("If-None-Match") == "*" and current)
        ):
            return self._error(412, "DENIED", "precondition failed")
        if ":" in reference and reference != digest:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        tags = () if ":" in reference else (reference,)
        self.state.add_manifest(name, data, self.headers.get("Content-Type", ""), *tags)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        if "subject" in document and self.state.lists_referrers:
            headers["OCI-Subject"] = document["subject"]["digest"]
        return self._answer(201, b"", headers)

    def _delete_manifest(self, repo: Repo, reference: str, digest: str) -> None:
        if not self.state.deletes:
            return self._error(405, "UNSUPPORTED", "The operation is unsupported.")
        if reference in repo.tags:
            del repo.tags[reference]
        else:
            del repo.manifests[digest]
            repo.tags = {tag: target for tag, target in repo.tags.items() if target != digest}
        return self._answer(202)

    def _tags(self, name: str, query: Mapping[str, str]) -> None:
        if name not in self.state.repos:
            return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
        tags = [tag for tag in sorted(self.state.repos[name].tags) if tag > query.get("last", "")]
        body = json.dumps({"name": name, "tags": tags[: self.state.page]}).encode()
        headers = {"Content-Type": "application/json"}
        if len(tags) > self.state.page:
            last = urllib.parse.quote(tags[self.state.page - 1])
            headers["Link"] = f'</v2/{name}/tags/list?n={self.state.page}&last={last}>; rel="next"'
        return self._answer(200, body, headers)

    def _referrers(self, name: str, digest: str, query: Mapping[str, str]) -> None:
        if not self.state.lists_referrers:
            return self._error(404, "UNSUPPORTED", "no such route")
        found = []
        for own, (media_type, data) in self.state.repo(name).manifests.items():
            document = json.loads(data)
            if document.get("subject", {}).get("digest") == digest:
                entry = {"mediaType": media_type, "digest": own, "size": len(data)}
                kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
                found.append({**entry, **({"artifactType": kind} if kind else {})})
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": found}
        return self._answer(200, json.dumps(index).encode(), {"Content-Type": INDEX_TYPE})


def _joined(scopes: frozenset[str]) -> list[str]:
    """`repository:a:pull` and `repository:a:push` as one scope."""
    actions: dict[str, list[str]] = {}
    for scope in sorted(scopes):
        resource, _, action = scope.rpartition(":")
        actions.setdefault(resource, []).append(action)
    return [f"{resource}:{','.join(names)}" for resource, names in actions.items()]
