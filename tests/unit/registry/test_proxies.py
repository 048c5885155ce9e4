"""Which requests go through a proxy: the rules of curl and of Go's httpproxy."""

from __future__ import annotations

import pytest

from pyoci.registry.proxies import Proxies, is_loopback, proxies_from_environment

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://registry.example/v2/", "", False),
        ("https://registry.example/v2/", "*", True),
        ("https://registry.example/v2/", "example", True),
        ("https://registry.example/v2/", ".example", True),
        ("https://registry.example/v2/", "*.example", True),
        ("https://registry.example/v2/", "registry.example", True),
        ("https://registry.example/v2/", "gistry.example", False),
        ("https://registry.example/v2/", "other, REGISTRY.example ,", True),
        ("https://registry.example:5000/v2/", "registry.example:5000", True),
        ("https://registry.example:5001/v2/", "registry.example:5000", False),
        ("https://registry.example/v2/", "registry.example:443", True),
        ("http://registry.example/v2/", "registry.example:443", False),
        ("https://10.1.2.3/v2/", "10.0.0.0/8", True),
        ("https://11.1.2.3/v2/", "10.0.0.0/8", False),
        ("https://10.1.2.3/v2/", "10.1.2.3", True),
        ("https://[fd00::1]:5000/v2/", "fd00::/8", True),
        ("https://[fd00::1]:5000/v2/", "[fd00::1]:5000", True),
        ("https://[fd00::1]:5000/v2/", "fd00::1", True),
        ("https://localhost:5000/v2/", "", True),
        ("https://127.0.0.1:5000/v2/", "", True),
        ("https://[::1]:5000/v2/", "", True),
    ],
)
def test_exceptions(url: str, no_proxy: str, direct: bool) -> None:
    proxies = proxies_from_environment({"HTTPS_PROXY": PROXY, "http_proxy": PROXY, "NO_PROXY": no_proxy})
    assert proxies.of(url) == ("" if direct else PROXY)


def test_lower_case_wins_and_all_proxy_stands_in() -> None:
    proxies = proxies_from_environment(
        {"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower", "ALL_PROXY": "every.example:8080"}
    )
    assert proxies.of("https://a.example/") == "http://lower"
    assert proxies.of("http://a.example/") == "http://every.example:8080"
    assert proxies_from_environment({}).of("https://a.example/") == ""


def test_a_proxy_password_is_not_shown() -> None:
    assert "secret" not in repr(Proxies("http://joe:secret@proxy", "http://joe:secret@proxy"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("a.localhost", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("::1", True),
        ("localhost.example", False),
        ("128.0.0.1", False),
        ("registry", False),
    ],
)
def test_loopback_by_spelling(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
