"""URLs: names of files, what may be shown. Expected values of `redacted` are those of BuildKit's urlutil."""

from __future__ import annotations

import pytest

from pyoci.fetch.url import file_name, parse_query, parse_url, public, redacted


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b.tar.gz", "b.tar.gz"),
        ("https://h/a/b.tar.gz?x=/y#z/w", "b.tar.gz"),
        ("https://h/a%20b%2Fc", "c"),
        ("https://h/a/", "a"),
        ("https://h", "__unnamed__"),
        ("https://h/", "__unnamed__"),
        ("https://h/%2e%2e", "download"),
        ("https://h/a%0Ab", "download"),
        ("https://h/資料.txt", "資料.txt"),
    ],
)
def test_names_come_from_the_path(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host/x?token=1#y", "https://host/x"),
        ("https://a:b@c:d@host/x", "https://host/x"),
        ("https://host/x?a@b", "https://host/x"),
        ("no url?secret", "no url"),
        ("https://user:pa ss@host/x", "https://host/x"),
    ],
)
def test_public_urls_hold_no_secrets(url: str, shown: str) -> None:
    assert public(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host/x.git#main", "https://xxxxx:xxxxx@host/x.git#main"),
        ("https://user@host/x", "https://xxxxx@host/x"),
        ("https://:pass@host/x", "https://:xxxxx@host/x"),
        ("https://host/x", "https://host/x"),
        ("git@host:x", "git@host:x"),
        ("plain", "plain"),
    ],
)
def test_credentials_are_masked(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_parts() -> None:
    url = parse_url("HTTPS://us%40er:p%3Aw@[fe80::1]:8443/a%20b/c;d?x=1&y#f%20g")
    assert (url.scheme, url.user, url.password, url.host) == ("https", "us@er", "p:w", "[fe80::1]:8443")
    assert (url.path, url.raw_path, url.query, url.fragment) == ("/a b/c;d", "/a%20b/c;d", "x=1&y", "f g")
    assert url.hostname == "fe80::1"
    assert url.without_credentials == "https://[fe80::1]:8443/a%20b/c;d?x=1&y"
    assert "p:w" not in repr(url)


@pytest.mark.parametrize(
    "text",
    ["", "host/x", "//host/x", "https:host", "https://h\nost/", "https://[::1/", "https://h[x]/", "https://h:1:2/"],
)
def test_what_is_no_absolute_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|missing"):
        parse_url(text)


def test_malformed_pairs_of_a_query_are_left_out() -> None:
    assert parse_query("a=1&b=%zz&c=2;d=3&a=+%2B&&e") == {"a": ["1", " +"], "e": [""]}
    with pytest.raises(ValueError, match="semicolon"):
        parse_query("c=2;d=3", strict=True)
