"""Challenges as RFC 9110 writes them and as registries really send them."""

from __future__ import annotations

import pytest

from pyoci.registry.challenge import Challenge, parse_challenges

CASES = {
    "": (),
    "Basic": (Challenge("basic"),),
    'Basic realm="x"': (Challenge("basic", {"realm": "x"}),),
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"': (
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:a/b:pull,push",
            },
        ),
    ),
    # RFC 9110 section 11.6.1, its own example
    'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""': (
        Challenge("basic", {"realm": "simple"}),
        Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
    ),
    "Negotiate, NTLM, Basic realm=plain": (
        Challenge("negotiate"),
        Challenge("ntlm"),
        Challenge("basic", {"realm": "plain"}),
    ),
    "Negotiate dGhlIHRva2Vu==, Bearer realm=https://h/t": (
        Challenge("negotiate"),
        Challenge("bearer", {"realm": "https://h/t"}),
    ),
    'BEARER Realm = "https://h/t" , Service = "s, with comma" ,, Basic realm=""': (
        Challenge("bearer", {"realm": "https://h/t", "service": "s, with comma"}),
        Challenge("basic", {"realm": ""}),
    ),
    'Bearer realm="a",realm="b"': (Challenge("bearer", {"realm": "a"}),),
    ', , Basic realm="x"': (Challenge("basic", {"realm": "x"}),),
    'Basic realm="x", "stray" Bearer realm="y"': (Challenge("basic", {"realm": "x"}),),
    'Bearer realm="never closed': (Challenge("bearer"),),
}


@pytest.mark.parametrize("header", CASES)
def test_challenges(header: str) -> None:
    found = parse_challenges(header)
    assert found == CASES[header]
    assert [dict(one.parameters) for one in found] == [dict(one.parameters) for one in CASES[header]]


def test_a_long_header_is_read_in_no_time() -> None:
    assert parse_challenges('a="' * 100_000) == ()
    parse_challenges("Bearer " + "x=y," * 100_000)
