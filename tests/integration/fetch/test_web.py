"""Downloads over real sockets: what a server may do wrong, TLS, proxies, and Python's own server as a judge."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pyoci.api.web import Web
from pyoci.digest import sha256_digest
from pyoci.errors import BuildError, Cancelled, UsageError
from pyoci.fetch.http import HttpFetcher, HttpSettings
from pyoci.registry.hosts import HostsConfig, Network
from pyoci.registry.proxies import Proxies
from pyoci.store import Store
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.real.registry import Certificates, make_certificates

DATA = os.urandom(300_000)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def fetching(
    directory: Path,
    hosts: HostsConfig | None = None,
    secret: Callable[[str], bytes | None] = lambda name: None,
    cancelled: threading.Event | None = None,
) -> Iterator[HttpFetcher]:
    settings = HttpSettings(backoff_seconds=0.01)
    hosts = hosts or HostsConfig(network=Network(stall_seconds=5))
    with Store(directory / "store") as store:
        web = Web(lambda: hosts)
        try:
            yield HttpFetcher(store, web.get, secret, settings=settings, cancelled=cancelled)
        finally:
            web.close()


def kept(directory: Path) -> list[str]:
    blobs = [*(directory / "store/blobs/sha256").iterdir(), *(directory / "store/tmp").iterdir()]
    return [path.name for path in blobs]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download(tmp_path: Path, server: WebServer, chunked: bool) -> None:
    server.pages["/f"] = Page(DATA, chunked=chunked)
    with fetching(tmp_path) as fetcher:
        assert fetcher.fetch(server.url("/f")).digest == sha256_digest(DATA)
    (asked,) = server.asked
    assert asked.headers["user-agent"].startswith("pyoci")
    assert asked.headers["accept-encoding"] == "identity"
    assert "cookie" not in asked.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_cut_is_asked_for_again_and_never_kept(tmp_path: Path, server: WebServer, chunked: bool) -> None:
    server.pages["/f"] = Page(DATA, cut_after=100_000, chunked=chunked)
    with fetching(tmp_path) as fetcher, pytest.raises(BuildError, match=r"the connection to 127\.0\.0\.1.* broke"):
        fetcher.fetch(server.url("/f"))
    assert server.paths() == ["/f"] * 3
    assert kept(tmp_path) == []


def test_pythons_server_confirms_the_condition(tmp_path: Path) -> None:
    """An independent judge of If-Modified-Since."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "f").write_bytes(DATA)
    os.utime(served / "f", (1596276000, 1596276000))
    statuses: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            statuses.append(str(int(code)) if isinstance(code, int) else str(code))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=served)) as judge:
        threading.Thread(target=judge.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{judge.server_address[1]}/f"
        for _ in range(2):
            with fetching(tmp_path) as fetcher:
                download = fetcher.fetch(url)
            assert (download.digest, download.last_modified) == (sha256_digest(DATA), 1596276000)
        judge.shutdown()
    assert statuses == ["200", "304"]


def test_another_name_of_the_same_address_gets_no_credentials(tmp_path: Path, server: WebServer) -> None:
    server.pages["/f"] = Page(b"", 302, {"Location": server.url("/g", host="localhost")}, authorization="Bearer t0ken")
    server.pages["/g"] = Page(DATA)
    with fetching(tmp_path, secret={"HTTP_AUTH_TOKEN_127.0.0.1": b"t0ken"}.get) as fetcher:
        fetcher.fetch(server.url("/f"))
    assert [("authorization" in asked.headers, asked.path) for asked in server.asked] == [(True, "/f"), (False, "/g")]


def test_a_wrong_token_is_named_and_not_shown(tmp_path: Path, server: WebServer) -> None:
    server.pages["/f"] = Page(DATA, authorization="Bearer right")
    secret = {"HTTP_AUTH_TOKEN_127.0.0.1": b"wrong-t0ken"}.get
    with fetching(tmp_path, secret=secret) as fetcher, pytest.raises(BuildError, match="status 401") as caught:
        fetcher.fetch(server.url("/f"))
    assert "HTTP_AUTH_TOKEN_127.0.0.1" in (caught.value.hint or "")
    assert "wrong-t0ken" not in f"{caught.value.message}{caught.value.hint}"


def test_tls_needs_somebody_to_vouch(tmp_path: Path, certificates: Certificates) -> None:
    with web_server(certificates) as server:
        server.pages["/f"] = Page(DATA)
        with fetching(tmp_path) as fetcher, pytest.raises(BuildError, match="is not trusted") as caught:
            fetcher.fetch(server.url("/f", host="localhost"))
        assert caught.value.hint == "trust the certificate authority with --ca-file"
        assert server.paths() == []
        with fetching(tmp_path, HostsConfig(ca_files=(certificates.ca,))) as fetcher:
            assert fetcher.fetch(server.url("/f", host="localhost")).digest == sha256_digest(DATA)


def test_tls_is_not_left(tmp_path: Path, server: WebServer, certificates: Certificates) -> None:
    with web_server(certificates) as secure:
        secure.pages["/f"] = Page(b"", 302, {"Location": server.url("/g")})
        hosts = HostsConfig(ca_files=(certificates.ca,))
        with fetching(tmp_path, hosts) as fetcher, pytest.raises(BuildError, match="which would leave TLS"):
            fetcher.fetch(secure.url("/f", host="localhost"))
    assert server.paths() == []


def test_a_ca_file_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    hosts = HostsConfig(ca_files=(broken,))
    with fetching(tmp_path, hosts) as fetcher, pytest.raises(UsageError, match=r"ca\.pem"):
        fetcher.fetch("https://localhost:1/f")


def test_proxies_are_used(tmp_path: Path, server: WebServer) -> None:
    server.pages["http://files.example.com/f"] = Page(DATA)
    hosts = HostsConfig(proxies=Proxies(http=server.url("")))
    with fetching(tmp_path, hosts) as fetcher:
        assert fetcher.fetch("http://files.example.com/f").digest == sha256_digest(DATA)


def test_names_that_do_not_resolve_and_ports_where_nobody_listens(tmp_path: Path, server: WebServer) -> None:
    with fetching(tmp_path) as fetcher:
        with pytest.raises(BuildError, match=r"the name of nowhere\.invalid cannot be resolved"):
            fetcher.fetch("http://nowhere.invalid/f")
        with pytest.raises(BuildError, match=r"connection refused by 127\.0\.0\.1:1"):
            fetcher.fetch("http://127.0.0.1:1/f")
        with pytest.raises(BuildError, match="does not speak TLS"):
            fetcher.fetch(f"https://127.0.0.1:{server.port}/f")


def test_an_interrupted_command_stops(tmp_path: Path, server: WebServer) -> None:
    cancelled = threading.Event()
    cancelled.set()
    server.pages["/f"] = Page(DATA)
    with fetching(tmp_path, cancelled=cancelled) as fetcher, pytest.raises(Cancelled):
        fetcher.fetch(server.url("/f"))
    assert kept(tmp_path) == []
