"""HttpFetcher against answers that are written down: which requests it sends, what it keeps, what it refuses."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.digest import sha256_digest
from pyoci.errors import BuildError, DigestMismatch
from pyoci.fetch.http import HttpFetcher, HttpSettings
from pyoci.fetch.protocols import ExchangeFailed
from pyoci.store import Store

URL = "https://files.example.com/dir/tool.bin"
DATA = b"tool" * 1000
SUM = sha256_digest(DATA)
AUGUST = "Sat, 01 Aug 2020 10:00:00 GMT"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks_after: int | None = None
    position: int = 0

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def length(self) -> int | None:
        text = self.header("Content-Length")
        return int(text) if text else None

    def read(self, size: int) -> bytes:
        end = len(self.body) if self.breaks_after is None else self.breaks_after
        if self.breaks_after is not None and self.position >= end:
            raise ExchangeFailed("the connection to files.example.com broke", may_pass=True)
        data = self.body[self.position : min(end, self.position + size, self.position + 700)]
        self.position += len(data)
        return data

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    """Replies in order; remembers what was asked."""

    def __init__(self, *replies: Reply | ExchangeFailed) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def get(self, url: str, headers: Mapping[str, str]) -> Reply:
        self.asked.append((url, headers))
        reply = self.replies.pop(0)
        if isinstance(reply, ExchangeFailed):
            raise reply
        return reply


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


def fetcher(
    store: Store, server: Server, secrets: Mapping[str, bytes] | None = None, **settings: object
) -> HttpFetcher:
    chosen: dict[str, object] = {"backoff_seconds": 0.0, **settings}
    secret: Callable[[str], bytes | None] = (secrets or {}).get
    return HttpFetcher(store, server.get, secret, settings=HttpSettings(**chosen))  # type: ignore[arg-type]


def blobs(store: Store) -> list[str]:
    return [path.name for path in (store.root / "blobs/sha256").iterdir()]


def leftovers(store: Store) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir()]


def test_a_file_is_kept_under_its_digest(store: Store) -> None:
    server = Server(Reply(body=DATA, headers={"Last-Modified": AUGUST}))
    files, download = fetcher(store, server).file(URL, "tool.bin")
    assert download.digest == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert download.last_modified == 1596276000  # date -d 2020-08-01T10:00:00Z +%s
    entry = files.lookup_nofollow("tool.bin")
    assert entry is not None
    assert (entry.type, entry.mode, entry.uid, entry.gid, entry.size) == ("file", 0o600, 0, 0, 4000)
    with files.open_content(entry) as stream:
        assert stream.read() == DATA
    assert server.asked == [(URL, {})]


def test_a_url_is_asked_for_once_in_a_command(store: Store) -> None:
    server = Server(Reply(body=DATA))
    fetching = fetcher(store, server)
    assert fetching.fetch(URL) == fetching.fetch(URL)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer", [Reply(304), Reply(200, b"unread", {"ETag": '"one"'}), Reply(200, b"", {"ETag": 'W/"one"'})]
)
def test_the_next_build_asks_with_a_condition(store: Store, answer: Reply) -> None:
    first = Server(Reply(body=DATA, headers={"ETag": '"one"', "Last-Modified": AUGUST}))
    kept = fetcher(store, first).fetch(URL)
    second = Server(answer)
    assert fetcher(store, second).fetch(URL) == kept
    assert second.asked == [(URL, {"If-None-Match": '"one"', "If-Modified-Since": AUGUST})]


def test_a_changed_file_is_fetched_again(store: Store) -> None:
    fetcher(store, Server(Reply(body=b"old", headers={"ETag": '"one"'}))).fetch(URL)
    changed = fetcher(store, Server(Reply(body=b"new", headers={"ETag": '"two"'}))).fetch(URL)
    assert changed.digest == sha256_digest(b"new")


def test_no_condition_is_sent_for_bytes_that_are_gone(store: Store) -> None:
    kept = fetcher(store, Server(Reply(body=DATA, headers={"ETag": '"one"'}))).fetch(URL)
    store.blob_path(kept.digest).unlink()
    server = Server(Reply(body=DATA))
    fetcher(store, server).fetch(URL)
    assert server.asked == [(URL, {})]


def test_what_a_checksum_names_is_not_asked_for_again(store: Store) -> None:
    fetcher(store, Server(Reply(body=DATA))).fetch(URL, checksum=SUM)
    server = Server()
    assert fetcher(store, server).fetch(URL, checksum=SUM).digest == SUM
    assert not server.asked


def test_another_checksum_keeps_nothing(store: Store) -> None:
    other = sha256_digest(b"x")
    with pytest.raises(DigestMismatch, match=f"digest mismatch for {URL}: {SUM} ") as caught:
        fetcher(store, Server(Reply(body=DATA))).fetch(URL, checksum=other)
    assert f"(expected: {other})" in caught.value.message
    assert not blobs(store)
    assert not leftovers(store)


def test_a_checksum_is_held_against_what_was_kept(store: Store) -> None:
    fetcher(store, Server(Reply(body=DATA, headers={"ETag": '"one"'}))).fetch(URL)
    with pytest.raises(DigestMismatch):
        fetcher(store, Server(Reply(304))).fetch(URL, checksum=sha256_digest(b"x"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(store: Store, status: int) -> None:
    server = Server(Reply(status, headers={"Location": "../other.bin?sig=1"}), Reply(body=DATA))
    assert fetcher(store, server).fetch(URL).digest == SUM
    assert [url for url, _ in server.asked] == [URL, "https://files.example.com/other.bin?sig=1"]


def test_a_redirect_takes_no_credentials_to_another_host_nor_back(store: Store) -> None:
    server = Server(
        Reply(302, headers={"Location": "/second"}),
        Reply(302, headers={"Location": "https://cdn.example.net/x"}),
        Reply(302, headers={"Location": URL}),
        Reply(body=DATA),
    )
    fetcher(store, server, {"HTTP_AUTH_TOKEN_files.example.com": b"s3cret"}).fetch(URL)
    assert [headers.get("Authorization") for _, headers in server.asked] == [
        "Bearer s3cret",
        "Bearer s3cret",
        None,
        None,
    ]


def test_another_port_is_another_origin(store: Store) -> None:
    server = Server(Reply(302, headers={"Location": "https://files.example.com:444/"}), Reply(body=DATA))
    fetcher(store, server, {"HTTP_AUTH_TOKEN_files.example.com": b"s3cret"}).fetch(URL)
    assert "Authorization" not in server.asked[1][1]


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://files.example.com/x?sig=secret", "redirects to http://files.example.com/x, which would leave TLS"),
        ("file:///etc/passwd", "redirects to file:///etc/passwd, which is not an address to ask"),
        ("https://u:p@h/x", "redirects to https://h/x, which is not an address to ask"),
        ("https://[::1/x", "redirects to what is not a URL"),
    ],
)
def test_a_redirect_stays_in_tls_and_http(store: Store, location: str, problem: str) -> None:
    with pytest.raises(BuildError) as caught:
        fetcher(store, Server(Reply(302, headers={"Location": location}))).fetch(URL)
    assert problem in caught.value.message
    assert "secret" not in caught.value.message


def test_redirects_end(store: Store) -> None:
    server = Server(*[Reply(302, headers={"Location": URL})] * 20)
    with pytest.raises(BuildError, match="more than 10 redirects"):
        fetcher(store, server).fetch(URL)
    assert len(server.asked) == 11


@pytest.mark.parametrize(
    ("secrets", "header"),
    [
        ({"HTTP_AUTH_TOKEN_files.example.com": b"abc\n"}, "Bearer abc"),
        ({"HTTP_AUTH_HEADER_files.example.com": b"Token abc"}, "Token abc"),
        ({"HTTP_AUTH_HEADER_files.example.com": b"a", "HTTP_AUTH_TOKEN_files.example.com": b"b"}, "Bearer b"),
        ({"HTTP_AUTH_TOKEN_example.com": b"abc"}, None),
    ],
)
def test_secrets_are_found_by_host(store: Store, secrets: Mapping[str, bytes], header: str | None) -> None:
    server = Server(Reply(body=DATA))
    fetcher(store, server, secrets).fetch("https://files.example.com:8443/x")
    assert server.asked[0][1].get("Authorization") == header


def test_a_secret_of_two_lines_is_refused_without_showing_it(store: Store) -> None:
    with pytest.raises(BuildError, match=r'secret "HTTP_AUTH_HEADER_files\.example\.com" has a line break') as caught:
        fetcher(store, Server(), {"HTTP_AUTH_HEADER_files.example.com": b"Basic abc\r\nX: y"}).fetch(URL)
    assert "abc" not in caught.value.message


def test_the_urls_own_user_is_sent_and_never_shown(store: Store) -> None:
    server = Server(Reply(404))
    with pytest.raises(BuildError) as caught:
        fetcher(store, server).fetch("https://user:p%40ss@files.example.com/x?token=secret#part")
    assert caught.value.message == "cannot fetch https://files.example.com/x: invalid response status 404"
    assert server.asked == [("https://files.example.com/x?token=secret", {"Authorization": "Basic dXNlcjpwQHNz"})]


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "HTTP_AUTH_TOKEN_files.example.com"), (403, "credentials"), (404, "URL")]
)
def test_refusals_say_what_to_do(store: Store, status: int, hint: str) -> None:
    server = Server(Reply(status))
    with pytest.raises(BuildError, match=f"invalid response status {status}") as caught:
        fetcher(store, server).fetch(URL)
    assert hint in (caught.value.hint or "")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [204, 206, 304])
def test_success_without_the_whole_file_is_none(store: Store, status: int) -> None:
    with pytest.raises(BuildError, match=f"invalid response status {status}"):
        fetcher(store, Server(Reply(status, DATA))).fetch(URL)


@pytest.mark.parametrize(
    "fault",
    [Reply(503), Reply(429), ExchangeFailed("connection refused", may_pass=True), Reply(body=DATA, breaks_after=1500)],
)
def test_what_may_pass_is_tried_again(store: Store, fault: Reply | ExchangeFailed) -> None:
    server = Server(fault, Reply(body=DATA))
    assert fetcher(store, server).fetch(URL).digest == SUM
    assert len(server.asked) == 2
    assert not leftovers(store)


def test_a_file_that_always_breaks_off_is_an_error_and_leaves_nothing(store: Store) -> None:
    server = Server(*[Reply(body=DATA, breaks_after=1500) for _ in range(5)])
    with pytest.raises(BuildError, match="broke"):
        fetcher(store, server).fetch(URL)
    assert len(server.asked) == 3
    assert not blobs(store)
    assert not leftovers(store)


def test_what_cannot_pass_is_not_tried_again(store: Store) -> None:
    failure = ExchangeFailed("the certificate is not trusted", may_pass=False, hint="trust it")
    server = Server(failure)
    with pytest.raises(BuildError, match="not trusted") as caught:
        fetcher(store, server).fetch(URL)
    assert caught.value.hint == "trust it"
    assert len(server.asked) == 1


def test_the_limit_counts_promised_and_sent_bytes(store: Store) -> None:
    with pytest.raises(BuildError, match="it has 4000 bytes, and the limit is 3999"):
        fetcher(store, Server(Reply(body=DATA, headers={"Content-Length": "4000"})), limit_bytes=3999).fetch(URL)
    with pytest.raises(BuildError, match="more than the 3999 bytes"):
        fetcher(store, Server(Reply(body=DATA)), limit_bytes=3999).fetch(URL)
    assert not leftovers(store)


def test_gzip_of_the_transfer_is_taken_off(store: Store) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(DATA) + packer.flush()
    server = Server(Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert fetcher(store, server).fetch(URL).digest == SUM
    with pytest.raises(BuildError, match="gzip data ends"):
        fetcher(store, Server(Reply(body=packed[:-9], headers={"Content-Encoding": "gzip"}))).fetch(URL + "2")


def test_offline_takes_what_was_fetched_before(store: Store) -> None:
    kept = fetcher(store, Server(Reply(body=DATA))).fetch(URL)
    offline = fetcher(store, Server(), offline=True)
    assert offline.fetch(URL) == kept
    with pytest.raises(BuildError, match="the network is not to be used"):
        offline.fetch(URL + "2")


def test_damaged_records_are_none(store: Store) -> None:
    fetcher(store, Server(Reply(body=DATA, headers={"ETag": '"one"'}))).fetch(URL)
    (record,) = (store.root / "fetched").iterdir()
    record.write_bytes(b'{"digest": "sha256:../../x"}')
    server = Server(Reply(body=DATA))
    assert fetcher(store, server).fetch(URL).digest == SUM
    assert server.asked[0][1] == {}


def test_records_do_not_hold_urls(store: Store) -> None:
    fetcher(store, Server(Reply(body=DATA))).fetch("https://files.example.com/x?token=secret")
    (record,) = (store.root / "fetched").iterdir()
    assert b"secret" not in record.read_bytes()
    assert "secret" not in record.name


@pytest.mark.parametrize(
    ("url", "problem"),
    [("https://", "no host"), ("https://exa mple.com/", "invalid character"), ("https://h:x/", 'invalid port ":x"')],
)
def test_what_is_no_url_is_said_to_be_none(store: Store, url: str, problem: str) -> None:
    with pytest.raises(BuildError, match=problem):
        fetcher(store, Server()).fetch(url)


def test_times_are_http_dates(store: Store) -> None:
    for text, seconds in [
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),  # the three forms of RFC 9110 section 5.6.7
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("yesterday", 0),
        ("Sun, 06 Nov 1960 08:49:37 GMT", 0),
        ("", 0),
    ]:
        server = Server(Reply(body=DATA, headers={"Last-Modified": text}))
        url = f"{URL}?{seconds}{text[:5].strip()}{len(text)}"
        assert fetcher(store, server).fetch(url).last_modified == seconds, text
