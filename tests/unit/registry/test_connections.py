"""Requests over `http.client` and over `requests`: the same answers, the same failures, from a server of few words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from pyoci.registry.connections import Connections
from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Network, Tls
from pyoci.registry.pools import Pools
from pyoci.registry.transport import Answer, Message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
NETWORK = Network(low_speed_bytes=0)

Way = Connections | Pools


@pytest.fixture(params=[Connections, Pools])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    made: Way = request.param(NETWORK)
    yield made
    made.close()


class Server:
    """Answers what it is told to, request by request, and keeps what it was sent."""

    def __init__(self, *answers: bytes | None, keeps: bool = True) -> None:
        """None hangs up without a word. Unless `keeps`, it hangs up after every answer, though it promised to stay."""
        self.answers = list(answers)
        self.keeps = keeps
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            with connection, suppress(OSError):
                while self._answer(connection) and self.keeps:
                    pass
            self.closed.set()

    def _answer(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        self.requests.append(data)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            return False
        connection.sendall(answer)
        return True

    @contextmanager
    def running(self) -> Iterator[Server]:
        self._thread.start()
        try:
            yield self
        finally:
            for one in (self._listener, *self._open):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing does not
            self._thread.join(5)
            self._listener.close()


def ask(way: Way, host: str, path: str = "/v2/", *, method: str = "GET", seconds: float = 5.0) -> Answer:
    headers = {"Accept-Encoding": "identity", "User-Agent": "pyoci"}
    return way.send(Message(method, f"http://{host}{path}", headers, None, Tls(), "", 5.0, seconds))


def test_the_body_and_the_headers(way: Way) -> None:
    reply = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nwww-authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno"
    with Server(reply).running() as server:
        answer = ask(way, server.host)
        assert (answer.status, answer.header("WWW-AUTHENTICATE"), answer.length()) == (401, "Basic, Bearer", 2)
        assert answer.read_upto(100) == b"no"
    (request,) = server.requests
    lines = request.split(b"\r\n")
    assert lines[0] == b"GET /v2/ HTTP/1.1"
    assert f"Host: {server.host}".encode() in lines
    assert sum(line.lower().startswith(b"accept-encoding:") for line in lines) == 1


def test_a_connection_is_used_again(way: Way) -> None:
    with Server(OK, OK, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", OK).running() as server:
        for method in ("GET", "GET", "HEAD", "GET"):
            ask(way, server.host, method=method).finish()
    assert (server.connections, len(server.requests)) == (1, 4)


def test_a_connection_that_the_server_closed_is_not(way: Way) -> None:
    with Server(OK, OK, keeps=False).running() as server:
        ask(way, server.host).finish()
        assert server.closed.wait(5)
        assert ask(way, server.host).read_upto(10) == b"hello"
    assert server.connections == 2


def test_a_connection_with_something_left_to_read_is_not(way: Way) -> None:
    with Server(OK, OK).running() as server:
        ask(way, server.host).close()
        assert ask(way, server.host).read_upto(10) == b"hello"
    assert server.connections == 2


def test_a_server_that_says_it_closes_is_believed(way: Way) -> None:
    with Server(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK, keeps=False).running() as server:
        assert ask(way, server.host).read_upto(10) == b"hello"
        assert ask(way, server.host).read_upto(10) == b"hello"
    assert server.connections == 2


def _failure(action: Callable[[], object]) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        action()
    return caught.value


def test_no_answer(way: Way) -> None:
    with Server(None).running() as server:
        failure = _failure(lambda: ask(way, server.host))
    assert (failure.kind, failure.host, failure.may_pass) == ("broken", server.host, True)


def test_nobody_there(way: Way) -> None:
    server = Server()
    with server.running():
        pass  # the port is free again
    assert _failure(lambda: ask(way, server.host)).kind == "refused"


def test_no_such_name(way: Way) -> None:
    assert _failure(lambda: ask(way, "nowhere.invalid")).kind == "name"


def test_silence(way: Way) -> None:
    with Server(b"").running() as server:
        assert _failure(lambda: ask(way, server.host, seconds=0.2)).kind == "stall"


def test_a_body_that_ends_too_soon(way: Way) -> None:
    with Server(OK[:-2], keeps=False).running() as server:
        answer = ask(way, server.host)
        failure = _failure(lambda: answer.read_upto(100))
    assert (failure.kind, failure.may_pass) == ("broken", True)


def test_a_chunked_body_that_ends_too_soon(way: Way) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe"
    with Server(reply, keeps=False).running() as server:
        answer = ask(way, server.host)
        assert _failure(lambda: answer.read_upto(100)).kind == "broken"


def test_a_chunked_body(way: Way) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
    with Server(reply, OK).running() as server:
        assert ask(way, server.host).read_upto(100) == b"hello!"
        ask(way, server.host).finish()
    assert server.connections == 1


def test_what_is_no_http(way: Way) -> None:
    with Server(b"SSH-2.0-OpenSSH_9.2\r\n", keeps=False).running() as server:
        assert _failure(lambda: ask(way, server.host)).kind == "broken"


def test_a_certificate_that_nobody_has(way: Way) -> None:
    with Server(keeps=False).running() as server:
        message = Message("GET", f"https://{server.host}/", {}, None, Tls(), "", 1.0, 0.2)
        assert _failure(lambda: way.send(message)).kind in ("stall", "broken")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2/a/tags/list?n=1&last=x%2Fy", "/v2/a/tags/list?n=1&last=x%2Fy"),
        ("/token?service=my registry&scope=a:b,c", "/token?service=my%20registry&scope=a:b,c"),
        ("/tökens", "/t%C3%B6kens"),
        ("?a=1", "/?a=1"),
        ("/a\r\nInjected: yes", None),
    ],
)
def test_the_target(way: Way, path: str, target: str | None) -> None:
    with Server(OK, OK).running() as server:
        ask(way, server.host, path).finish()
    first = server.requests[0].partition(b"\r\n")[0].decode()
    assert b"\r\nInjected" not in server.requests[0]
    if target is not None:
        assert first == f"GET {target} HTTP/1.1"
