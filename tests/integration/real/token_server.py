"""A token server that a real docker-registry believes: tokens of distribution's JWT form, signed by openssl."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.integration.real.registry import Certificates, TokenAuth, sign_certificate

ISSUER, SERVICE = "test issuer", "test registry"


@dataclass(slots=True)
class TokenServer:
    """Gives its one user what she asks for, and anonymous clients pulls."""

    certificate: Path
    key: Path
    authority: Path
    user: str = "joe"
    password: str = "hunter2-secret"
    life_seconds: int = 300
    url: str = ""
    scopes: list[tuple[str, ...]] = field(default_factory=list)
    """What was asked for, request by request."""

    @property
    def auth(self) -> TokenAuth:
        return TokenAuth(f"{self.url}/token", SERVICE, ISSUER, self.authority)

    def token(self, scopes: list[str], *, known: bool) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = [action for action in actions.split(",") if known or action == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": self.user, "aud": SERVICE, "jti": str(len(self.scopes)), "access": access}
        times = {"iat": now, "nbf": now - 5, "exp": now + self.life_seconds}
        pem = self.certificate.read_text()
        chain = [base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()]
        header = {"alg": "RS256", "typ": "JWT", "x5c": chain}
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps({**claims, **times}).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=signed.encode(),
            capture_output=True,
            check=True,
            timeout=30,
        ).stdout
        return f"{signed}.{_encoded(signature)}"


@contextlib.contextmanager
def token_server(directory: Path, authority: Certificates, *, life_seconds: int = 300) -> Iterator[TokenServer]:
    """Runs on a free port of loopback until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    sign_certificate(authority, directory / "token.crt", directory / "token.key", rsa=True)
    state = TokenServer(directory / "token.crt", directory / "token.key", authority.ca, life_seconds=life_seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # the base class names it so
            """Says nothing."""

        def do_GET(self) -> None:  # the base class names it so
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            wanted = "Basic " + base64.b64encode(f"{state.user}:{state.password}".encode()).decode()
            sent = self.headers.get("Authorization", "")
            scopes = query.get("scope", [])
            state.scopes.append(tuple(scopes))
            refused = bool(sent) and sent != wanted
            answer = {} if refused else {"token": state.token(scopes, known=bool(sent)), "expires_in": life_seconds}
            body = json.dumps(answer).encode()
            self.send_response(401 if refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
