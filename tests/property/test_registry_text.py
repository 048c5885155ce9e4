"""What comes from registries and from the user's files is read without a surprise, whatever it is."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from pyoci.errors import RegistryError
from pyoci.reference import parse_reference
from pyoci.registry.challenge import parse_challenges
from pyoci.registry.client import connect
from pyoci.registry.credentials import registry_of_key
from pyoci.registry.failure import Redactor, decode_error_body, one_line
from pyoci.registry.proxies import proxies_from_environment
from pyoci.registry.retry import retry_after_seconds
from pyoci.registry.scopes import merge_scopes
from pyoci.registry.session import Request
from pyoci.registry.urls import host_of, origin_of

TOKEN = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@given(st.text())
def test_any_header_is_a_list_of_challenges(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme


@given(st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), QUOTED, min_size=1, max_size=4)), max_size=4))
def test_challenges_come_out_as_they_went_in(offers: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in pairs.items()) for scheme, pairs in offers
    )
    found = [(one.scheme, dict(one.parameters)) for one in parse_challenges(header)]
    assert found == [(scheme.lower(), pairs) for scheme, pairs in offers]


@given(st.text(), st.booleans())
def test_no_location_leads_out_of_tls_or_to_another_protocol(location: str, prefixed: bool) -> None:
    session = connect(parse_reference("r.example/app:1"))._session
    endpoint = session.hosts.endpoints(parse_reference("r.example/app:1"))[0]
    request = Request("GET", "/v2/", endpoint, "pull r.example/app:1", frozenset({200}))
    try:
        target = session.target("https://r.example/v2/a", f"http://{location}" if prefixed else location, request)
    except RegistryError as error:
        assert error.message.isprintable()
    else:
        assert origin_of(target).startswith("https://")
        assert host_of(target)


@given(st.binary(max_size=2000))
def test_any_error_body_is_a_few_printable_lines(body: bytes) -> None:
    for problem in decode_error_body(body, Redactor()):
        assert (problem.code + problem.message).isprintable()


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 300


@given(st.text(), st.text())
def test_any_retry_after_is_a_time_or_nothing(value: str, date: str) -> None:
    seconds = retry_after_seconds(value, date)
    assert seconds is None or seconds >= 0


@given(st.lists(st.text(max_size=40), max_size=6))
def test_scopes_merge_once_and_for_all(scopes: list[str]) -> None:
    merged = merge_scopes(scopes)
    assert merge_scopes(merged) == merged
    assert merge_scopes([*scopes, *scopes]) == merged


@given(st.text())
def test_any_key_names_a_registry(key: str) -> None:
    registry_of_key(key)


@given(st.text(), st.sampled_from(["https://r.example/", "http://10.0.0.1:5000/", "https://[fd00::1]/"]))
def test_any_list_of_exceptions_is_read(no_proxy: str, url: str) -> None:
    assert proxies_from_environment({"HTTPS_PROXY": "p", "HTTP_PROXY": "p", "NO_PROXY": no_proxy}).of(url) in (
        "",
        "http://p",
    )
