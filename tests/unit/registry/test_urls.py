"""URLs that servers give: what is compared, what is shown, what is refused."""

from __future__ import annotations

import pytest

from pyoci.registry.urls import followed, host_of, origin_of, public_url, split_web_url, with_query


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://r.example/v2/", "https://r.example"),
        ("https://r.example:443/v2/", "https://r.example"),
        ("http://r.example:80", "http://r.example"),
        ("http://r.example:443/", "http://r.example:443"),
        ("https://R.Example:5000/a?b#c", "https://r.example:5000"),
        ("HTTPS://r.example/", "https://r.example"),
        ("https://[::1]:5000/", "https://[::1]:5000"),
        ("https://[::1]/", "https://[::1]"),
    ],
)
def test_origins(url: str, origin: str) -> None:
    assert origin_of(url) == origin
    assert host_of(url) == origin.partition("://")[2]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v2/",
        "//h/",
        "ftp://h/",
        "file:///etc/passwd",
        "https:///p",
        "https://joe@h/",
        "https://joe:pw@h/",
        "https://h:0/",
        "https://h:99999/",
        "https://h:x/",
        "https://[::1/",
        "https://h h/",
        "https://h\x00/",
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert split_web_url(url) is None
    assert host_of(url) == ""


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/a", "https://r.example/v2/a"),
        ("?x=1", "https://r.example/v2/up?x=1"),
        ("next", "https://r.example/v2/next"),
        ("//cdn.example/b", "https://cdn.example/b"),
        ("http://cdn.example/b", "http://cdn.example/b"),
        ("mailto:joe", None),
        ("https://[", None),
    ],
)
def test_following(location: str, target: str | None) -> None:
    assert followed("https://r.example/v2/up", location) == target


def test_showing() -> None:
    assert public_url("https://joe:pw@h:5/p?q=1#f") == "https://h:5/p"
    assert public_url("/v2/a?b") == "/v2/a"
    assert public_url("https://[") == ""


def test_adding_to_a_query() -> None:
    assert with_query("https://h/p", ("digest", "sha256:a b")) == "https://h/p?digest=sha256%3Aa+b"
    assert with_query("https://h/p?_state=x%3D", ("a", "1"), ("a", "2")) == "https://h/p?_state=x%3D&a=1&a=2"
    assert with_query("https://h/p?q") == "https://h/p?q"
