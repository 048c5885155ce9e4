"""Challenges answered: which header, which token, and where credentials may go. No HTTP here."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from pyoci.errors import RegistryError, Unauthorized
from pyoci.registry.auth import Authorizer, Site, TokenRequest, check_realm
from pyoci.registry.challenge import Challenge, parse_challenges
from pyoci.registry.credentials import Credential, CredentialSource, FixedCredentials
from pyoci.registry.failure import Redactor

SITE = Site("https://r.example", "r.example", "team/app")
PULL = ("repository:team/app:pull",)
PUSH = ("repository:team/app:pull,push",)
JOE = Credential("joe", "hunter2-secret")
BASIC = "Basic " + base64.b64encode(b"joe:hunter2-secret").decode()


def bearer(**parameters: str) -> tuple[Challenge, ...]:
    return (Challenge("bearer", {"realm": "https://auth.example/token", "service": "s", **parameters}),)


@dataclass(slots=True)
class Desk:
    """An authorizer with a token server that answers what it is told, and a clock that is set by hand."""

    credential: Credential | None = JOE
    answers: list[bytes] = field(default_factory=list)
    asked: list[TokenRequest] = field(default_factory=list)
    now: float = 1000.0

    def fetch(self, request: TokenRequest) -> bytes:
        self.asked.append(request)
        if self.answers:
            return self.answers.pop(0)
        return json.dumps({"token": f"token-{len(self.asked)}"}).encode()

    def authorizer(self, credentials: CredentialSource | None = None) -> Authorizer:
        known = FixedCredentials({"r.example": self.credential} if self.credential else {})
        return Authorizer(credentials or known, self.fetch, redactor=Redactor(), clock=lambda: self.now)

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(one.url).query) for one in self.asked]


def test_nothing_is_sent_before_a_challenge() -> None:
    assert Desk().authorizer().header(SITE, PULL) is None


def test_basic_is_answered_once_and_then_sent_at_once() -> None:
    authorizer = Desk().authorizer()
    assert authorizer.answer(SITE, PULL, (Challenge("basic"),), rejected=None) == BASIC
    assert authorizer.header(SITE, PUSH) == BASIC
    assert authorizer.answer(SITE, PULL, (Challenge("basic"),), rejected=BASIC) is None
    assert authorizer.authenticated(SITE)


def test_basic_without_credentials_is_not_answered() -> None:
    authorizer = Desk(None).authorizer()
    assert authorizer.answer(SITE, PULL, (Challenge("basic"),), rejected=None) is None
    assert not authorizer.authenticated(SITE)


def test_another_origin_or_repository_gets_nothing_by_itself() -> None:
    authorizer = Desk().authorizer()
    authorizer.answer(SITE, PULL, (Challenge("basic"),), rejected=None)
    assert authorizer.header(Site("http://r.example", "r.example", "team/app"), PULL) is None
    assert authorizer.header(Site("https://other.example", "other.example", "team/app"), PULL) is None


def test_bearer_is_preferred_and_unknown_schemes_are_left() -> None:
    desk = Desk()
    offered = (Challenge("negotiate"), Challenge("basic"), *bearer())
    assert desk.authorizer().answer(SITE, PULL, offered, rejected=None) == "Bearer token-1"
    assert desk.authorizer().answer(SITE, PULL, (Challenge("negotiate"),), rejected=None) is None
    assert desk.authorizer().answer(SITE, PULL, (Challenge("bearer"), Challenge("basic")), rejected=None) == BASIC


def test_a_token_is_asked_for_as_the_token_specification_says() -> None:
    desk = Desk()
    desk.authorizer().answer(SITE, PULL, bearer(scope="repository:team/app:pull,push"), rejected=None)
    (request,) = desk.asked
    assert request.url.startswith("https://auth.example/token?")
    assert desk.queries() == [
        {"service": ["s"], "scope": ["repository:team/app:pull,push"], "account": ["joe"]},
    ]
    assert request.basic == BASIC
    assert request.form is None


def test_several_scopes_are_several_parameters() -> None:
    desk = Desk()
    scopes = (*PUSH, "repository:library/alpine:pull")
    desk.authorizer().answer(SITE, scopes, bearer(), rejected=None)
    assert desk.queries()[0]["scope"] == ["repository:library/alpine:pull", "repository:team/app:pull,push"]


def test_an_anonymous_token_is_asked_for_without_a_name() -> None:
    desk = Desk(None)
    desk.authorizer().answer(SITE, PULL, bearer(), rejected=None)
    assert desk.asked[0].basic is None
    assert "account" not in desk.queries()[0]


def test_a_realm_with_a_query_keeps_it() -> None:
    desk = Desk(None)
    desk.authorizer().answer(SITE, PULL, bearer(realm="https://auth.example/token?a=b"), rejected=None)
    assert desk.queries()[0]["a"] == ["b"]


def test_an_identity_token_buys_tokens_by_post() -> None:
    """Distribution's OAuth 2 document: grant_type, service, client_id, scope, refresh_token in a form."""
    desk = Desk(Credential("joe", "unused", "refresh-secret"), answers=[b'{"access_token":"bought"}'])
    scopes = (*PUSH, "repository:library/alpine:pull")
    assert desk.authorizer().answer(SITE, scopes, bearer(), rejected=None) == "Bearer bought"
    (request,) = desk.asked
    assert request.url == "https://auth.example/token"
    assert request.basic is None
    assert request.form is not None
    assert parse_qs(request.form.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["s"],
        "client_id": ["pyoci"],
        "scope": ["repository:library/alpine:pull repository:team/app:pull,push"],
        "refresh_token": ["refresh-secret"],
    }


def test_a_token_is_kept_until_shortly_before_it_runs_out() -> None:
    desk = Desk(answers=[b'{"token":"first","expires_in":300}', b'{"token":"second"}'])
    authorizer = desk.authorizer()
    authorizer.answer(SITE, PULL, bearer(), rejected=None)
    desk.now += 289
    assert authorizer.header(SITE, PULL) == "Bearer first"
    desk.now += 2
    assert authorizer.header(SITE, PULL) == "Bearer second"
    desk.now += 53  # 60 seconds are the default of the token specification
    assert authorizer.header(SITE, PULL) == "Bearer second"
    desk.now += 2
    assert authorizer.header(SITE, PULL) == "Bearer token-3"


def test_a_rejected_token_is_replaced_and_its_successor_is_shared() -> None:
    desk = Desk()
    authorizer = desk.authorizer()
    first = authorizer.answer(SITE, PULL, bearer(), rejected=None)
    second = authorizer.answer(SITE, PULL, bearer(), rejected=first)
    assert (first, second) == ("Bearer token-1", "Bearer token-2")
    assert authorizer.answer(SITE, PULL, bearer(), rejected=first) == second
    assert len(desk.asked) == 2


def test_what_a_challenge_asked_for_in_addition_is_asked_for_from_then_on() -> None:
    desk = Desk()
    authorizer = desk.authorizer()
    authorizer.answer(SITE, PULL, bearer(scope="repository:team/app:delete"), rejected=None)
    assert authorizer.header(SITE, PULL) == "Bearer token-1"
    assert desk.queries()[0]["scope"] == ["repository:team/app:pull,delete"]
    assert len(desk.asked) == 1


def test_threads_that_need_the_same_token_fetch_it_once() -> None:
    desk = Desk()
    entered = threading.Barrier(4)
    authorizer = desk.authorizer()
    got: list[str | None] = []

    def work() -> None:
        entered.wait(5)
        got.append(authorizer.answer(SITE, PULL, bearer(), rejected=None))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert got == ["Bearer token-1"] * 4
    assert len(desk.asked) == 1


def test_credentials_are_looked_up_only_when_asked_for_and_once() -> None:
    looked: list[tuple[str, str]] = []

    class Files:
        def find(self, registry: str, repository: str) -> Credential | None:
            looked.append((registry, repository))
            return JOE

    authorizer = Desk().authorizer(Files())
    authorizer.header(SITE, PULL)
    assert looked == []
    authorizer.answer(SITE, PULL, (Challenge("basic"),), rejected=None)
    authorizer.header(SITE, PULL)
    assert looked == [("r.example", "team/app")]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 7}',
        b'{"token": "two words"}',
        b'{"token": "line\\r\\nX-Injected: yes"}',
        b'{"token": "\\u00e4"}',
        b"[" * 100_000,
        json.dumps({"token": "x" * 70_000}).encode(),
    ],
)
def test_what_is_no_token_is_refused(answer: bytes) -> None:
    desk = Desk(answers=[answer])
    with pytest.raises(RegistryError, match=r"^the token server of r\.example did not answer with a token$"):
        desk.authorizer().answer(SITE, PULL, bearer(), rejected=None)


@pytest.mark.parametrize("life", ["null", '"300"', "-1", "0", "true"])
def test_a_life_that_makes_no_sense_is_the_default(life: str) -> None:
    desk = Desk(answers=[b'{"token":"first","expires_in":%s}' % life.encode()])
    authorizer = desk.authorizer()
    authorizer.answer(SITE, PULL, bearer(), rejected=None)
    assert authorizer.header(SITE, PULL) in ("Bearer first", "Bearer token-2")


@pytest.mark.parametrize(
    ("realm", "origin", "allowed"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://auth.example/token", "http://r.example:5000", True),
        ("http://r.example/token", "https://r.example", False),
        ("http://auth.example/token", "http://r.example:5000", False),
        ("http://r.example:5001/token", "http://r.example:5000", True),
        ("http://localhost:5001/token", "http://127.0.0.1:5000", True),
        ("http://169.254.169.254/latest", "http://127.0.0.1:5000", False),
        ("http://169.254.169.254/latest", "https://r.example", False),
        ("https://joe:pw@auth.example/token", "https://r.example", False),
        ("http://joe:pw@r.example/token", "http://r.example", False),
        ("file:///etc/passwd", "https://r.example", False),
        ("//auth.example/token", "https://r.example", False),
        ("https:///token", "https://r.example", False),
        ("token", "https://r.example", False),
    ],
)
def test_where_credentials_may_go(realm: str, origin: str, allowed: bool) -> None:
    site = Site(origin, "r.example", "app")
    if allowed:
        check_realm(realm, site)
        return
    desk = Desk()
    with pytest.raises(Unauthorized, match="names a token server that credentials cannot be sent to safely") as caught:
        desk.authorizer().answer(site, PULL, bearer(realm=realm), rejected=None)
    assert desk.asked == []
    assert "pw" not in caught.value.message


def test_a_challenge_as_a_header() -> None:
    desk = Desk()
    header = 'Bearer realm="https://auth.example/token",service="s",scope="repository:team/app:pull"'
    assert desk.authorizer().answer(SITE, PULL, parse_challenges(header), rejected=None) == "Bearer token-1"


def test_no_secret_is_in_a_representation() -> None:
    desk = Desk(Credential("joe", "unused", "refresh-secret"))
    desk.authorizer().answer(SITE, PULL, bearer(), rejected=None)
    assert "refresh-secret" not in repr(desk.asked[0])
