"""Errors: what is said, what is hidden, and what to do about it."""

from __future__ import annotations

import json
import socket
import ssl

import pytest
import requests
import urllib3

from pyoci.errors import RegistryError, Unauthorized
from pyoci.registry.failure import (
    Problem,
    Redactor,
    decode_error_body,
    one_line,
    response_error,
    transport_error,
    transport_failure,
)

LOG_IN = "log in first: pyoci login r.example"
LOG_IN_AGAIN = "r.example did not accept the credentials; log in again: pyoci login r.example"
LOOK = "check the name and the tag; pyoci ls REPOSITORY lists the tags that are there"
PRIVATE = "check the repository's name; a private one needs pyoci login r.example"
WAIT = "wait a while, or log in for a higher limit: pyoci login r.example"
BROKE = "the connection to r.example broke: "


def refusal(
    status: int, code: str = "", message: str = "", *, known: bool = False, method: str = "GET"
) -> RegistryError:
    problems = (Problem(code, message),) if code or message else ()
    return response_error(
        "pull r.example/app:1",
        method=method,
        url="https://joe:pw@r.example/v2/app/manifests/1?token=secret",
        status=status,
        problems=problems,
        registry="r.example",
        authenticated=known,
    )


@pytest.mark.parametrize(
    ("status", "code", "message", "known", "text", "hint"),
    [
        (401, "UNAUTHORIZED", "authentication required", False, "authentication required (HTTP 401", LOG_IN),
        (401, "", "", True, "r.example answered 401 (unauthorized)", LOG_IN_AGAIN),
        (
            403,
            "DENIED",
            "requested access to the resource is denied",
            True,
            "requested access to the resource is denied",
            "your account at r.example may not do this",
        ),
        (404, "MANIFEST_UNKNOWN", "manifest unknown", False, "cannot pull r.example/app:1: manifest unknown", LOOK),
        (404, "NAME_UNKNOWN", "", False, "name unknown", PRIVATE),
        (404, "", "", False, "r.example does not have it", LOOK),
        (429, "TOOMANYREQUESTS", "pull rate limit", False, "pull rate limit (HTTP 429 from r.example)", WAIT),
        (413, "", "", True, "answered 413 (too large)", 'chunk-size for host."r.example"'),
        (503, "", "", True, "answered 503 (unavailable)", "r.example is in trouble; try again later"),
    ],
)
def test_refusals(status: int, code: str, message: str, known: bool, text: str, hint: str) -> None:
    error = refusal(status, code, message, known=known)
    assert text in error.message
    assert hint in (error.hint or "")
    assert (error.status, error.code) == (status, code)
    assert error.url == "https://r.example/v2/app/manifests/1"
    assert isinstance(error, Unauthorized) == (status in (401, 403))


def test_deleting_where_it_is_not_allowed() -> None:
    assert refusal(405, "UNSUPPORTED", "unsupported", method="DELETE").hint == "r.example does not allow deletion"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"errors": [{"code": "DENIED", "message": "no"}]}, (Problem("DENIED", "no"),)),
        ({"errors": [{"code": "A"}, {"message": "b"}, {}, 7]}, (Problem("A", ""), Problem("", "b"))),
        ({"errors": [{"code": "A", "message": "x\n\x1b[31my\u202ez"}]}, (Problem("A", "x [31my z"),)),
        ({"errors": [{"code": "A", "message": "m" * 5000}]}, (Problem("A", "m" * 299 + "…"),)),
        ({"errors": {}}, ()),
        ({"errors": None}, ()),
        ({"details": "old style"}, ()),
        ([], ()),
        ("text", ()),
    ],
)
def test_error_bodies(body: object, problems: tuple[Problem, ...]) -> None:
    assert decode_error_body(json.dumps(body).encode(), Redactor()) == problems


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 60_000])
def test_error_bodies_that_are_none(body: bytes) -> None:
    assert decode_error_body(body, Redactor()) == ()


def test_secrets_are_taken_out_of_foreign_text() -> None:
    redactor = Redactor()
    redactor.add("hunter2-secret", "pw", "")
    assert redactor.clean("token hunter2-secret pw") == "token *** pw"
    assert redactor.clean("sent Bearer abcdefgh.ijk and Basic am9lOnB3cHdwdw==") == "sent *** and ***"
    assert redactor.clean("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln") == "***"
    assert redactor.clean("a basic need") == "a basic need"


def test_one_line() -> None:
    assert one_line("a\r\n b\tc\x00") == "a b c"


def wrapped(reason: Exception) -> requests.ConnectionError:
    pool = urllib3.HTTPConnectionPool("r.example")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/secret?token=hunter2", reason))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (wrapped(ConnectionRefusedError(111, "Connection refused")), "refused", "connection refused by r.example"),
        (wrapped(socket.gaierror(-2, "Name or service not known")), "name", "the name of r.example cannot be resolved"),
        (requests.ReadTimeout("secret"), "stall", "r.example stopped answering"),
        (requests.ConnectTimeout("secret"), "connect-timeout", "no connection to r.example in time"),
        (wrapped(ConnectionResetError(104, "Connection reset by peer")), "broken", BROKE + "connection reset by peer"),
        (requests.ConnectionError("secret"), "broken", BROKE + "it closed the connection"),
        (
            requests.exceptions.SSLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong")),
            "tls",
            "TLS with r.example failed: handshake failed",
        ),
        (requests.exceptions.SSLError(ssl.SSLEOFError(8, "EOF occurred")), "broken", "r.example closed the connection"),
        (requests.exceptions.ProxyError("secret"), "proxy", "the proxy for r.example cannot be used or refused"),
        (requests.exceptions.InvalidURL("secret"), "request", "the request to r.example cannot be formed"),
    ],
)
def test_failures_of_the_library_are_put_in_our_words(error: Exception, kind: str, text: str) -> None:
    failure = transport_failure(error, "r.example")
    assert (failure.kind, str(failure)) == (kind, text)
    told = transport_error("pull r.example/app:1", failure, method="GET", url="/v2/", registry="r.example")
    assert told.message == f"cannot pull r.example/app:1: {text}"
    assert told.status == 0
    assert "secret" not in f"{told.message} {told.hint}"


@pytest.mark.parametrize(
    ("kind_of", "hint"),
    [
        (ConnectionRefusedError(111, "refused"), "check that a registry listens at r.example"),
        (socket.gaierror(-2, "unknown"), "check the spelling, and that this machine has a network"),
    ],
)
def test_hints_say_what_to_do(kind_of: Exception, hint: str) -> None:
    failure = transport_failure(wrapped(kind_of), "r.example")
    told = transport_error("pull x", failure, method="GET", url="/", registry="r.example")
    assert told.hint == hint


def test_a_port_of_loopback_where_nothing_listens() -> None:
    failure = transport_failure(wrapped(ConnectionRefusedError(111, "refused")), "localhost:5000")
    told = transport_error("pull x", failure, method="GET", url="/", registry="localhost:5000")
    assert told.hint == "start the registry, or check the port in localhost:5000"
