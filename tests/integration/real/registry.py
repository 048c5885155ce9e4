"""Debian's docker-registry on loopback: the judge of the registry client, and a place to push to for every other test.

Each one has a directory and a port of its own and dies with the test that started it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificates:
    """A CA made for one test, and what it signed for `localhost` and `127.0.0.1`."""

    ca: Path
    certificate: Path
    key: Path
    ca_key: Path
    wants_clients: bool = False
    """Whether clients must show a certificate of the same CA."""


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Where the registry sends clients for a token, and whose signature it believes."""

    realm: str
    service: str
    issuer: str
    certificates: Path


@dataclass(slots=True)
class RealRegistry:
    """A running docker-registry."""

    host: str
    """`127.0.0.1:port`: the registry part of a reference."""
    directory: Path
    tls: Certificates | None
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def storage(self) -> Path:
        """Where blobs lie: `docker/registry/v2/blobs/sha256/…`."""
        return self.directory / "storage"

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def requests(self) -> list[str]:
        """Method and path of every request that was answered, in order, as the access log has them."""
        lines = []
        for line in self.log().splitlines():
            if ' HTTP/1.1" ' in line and line.count('"') >= 2:
                lines.append(line.split('"')[1].removesuffix(" HTTP/1.1"))
        return lines

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)


@contextlib.contextmanager
def real_registry(
    directory: Path,
    *,
    users: Mapping[str, str] | None = None,
    tls: Certificates | None = None,
    token: TokenAuth | None = None,
    read_only: bool = False,
    port: int = 0,
) -> Iterator[RealRegistry]:
    """A registry with an empty storage (or the one that is in `directory` already); `users` maps names to passwords."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    registry = start_registry(directory, port, users=users, tls=tls, token=token, read_only=read_only)
    try:
        yield registry
    finally:
        registry.stop()


def start_registry(
    directory: Path,
    port: int,
    *,
    users: Mapping[str, str] | None = None,
    tls: Certificates | None = None,
    token: TokenAuth | None = None,
    read_only: bool = False,
) -> RealRegistry:
    """As `real_registry`, for those who stop it themselves."""
    host = f"127.0.0.1:{port}"
    storage: dict[str, object] = {
        "filesystem": {"rootdirectory": str(directory / "storage")},
        "delete": {"enabled": True},
        "maintenance": {"readonly": {"enabled": read_only}, "uploadpurging": {"enabled": False}},
    }
    listener: dict[str, object] = {"addr": host, "secret": "one test's secret"}
    if tls is not None:
        listener["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        if tls.wants_clients:
            listener["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key), "clientcas": [str(tls.ca)]}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": storage,
        "http": listener,
    }
    if users is not None:
        _write_htpasswd(directory / "htpasswd", users)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    if token is not None:
        config["auth"] = {
            "token": {
                "realm": token.realm,
                "service": token.service,
                "issuer": token.issuer,
                "rootcertbundle": str(token.certificates),
            }
        }
    path = directory / "config.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        )
    registry = RealRegistry(host, directory, tls, process)
    _wait_until_it_answers(registry)
    return registry


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificates(directory: Path, *, name: str = "localhost") -> Certificates:
    """A CA and a server certificate signed by it, made by openssl."""
    directory.mkdir(parents=True, exist_ok=True)
    _openssl(
        directory, "req", "-x509", *NEW_KEY, "-days", "2", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=CA"
    )
    found = Certificates(directory / "ca.crt", directory / "server.crt", directory / "server.key", directory / "ca.key")
    sign_certificate(found, directory / "server.crt", directory / "server.key", name=name)
    return found


def sign_certificate(
    authority: Certificates, certificate: Path, key: Path, *, rsa: bool = False, name: str = "localhost"
) -> None:
    """Writes a new key and a certificate for a host on loopback that the CA signed."""
    directory = certificate.parent
    kind = ("-newkey", "rsa:2048", "-nodes") if rsa else NEW_KEY
    _openssl(directory, "req", *kind, "-keyout", str(key), "-out", "request.csr", "-subj", f"/CN={name}")
    (directory / "names").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    signed_by = ("-CA", str(authority.ca), "-CAkey", str(authority.ca_key), "-CAcreateserial")
    form = ("-days", "2", "-extfile", "names", "-out", str(certificate))
    _openssl(directory, "x509", "-req", "-in", "request.csr", *signed_by, *form)


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60, cwd=directory)


def _write_htpasswd(path: Path, users: Mapping[str, str]) -> None:
    lines = []
    for name, password in users.items():
        done = subprocess.run(
            ["htpasswd", "-niB", name], input=password.encode(), check=True, capture_output=True, timeout=60
        )
        lines.append(done.stdout.decode().strip())
    path.write_text("\n".join(lines) + "\n")


def _wait_until_it_answers(registry: RealRegistry) -> None:
    name, _, port = registry.host.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if registry.tls is None:
                connection = http.client.HTTPConnection(name, int(port), timeout=5)
            else:
                context = ssl.create_default_context(cafile=registry.tls.ca)
                context.load_cert_chain(registry.tls.certificate, registry.tls.key)
                connection = http.client.HTTPSConnection(name, int(port), timeout=5, context=context)
            with contextlib.closing(connection):
                connection.request("GET", "/v2/")
                connection.getresponse().read()
            return
        except OSError as error:
            if registry.process.poll() is not None or time.monotonic() > deadline:
                registry.stop()
                raise RuntimeError(f"docker-registry does not answer: {error}\n{registry.log()[-2000:]}") from error
            time.sleep(0.05)
