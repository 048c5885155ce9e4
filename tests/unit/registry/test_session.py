"""Sending: redirects, authentication, warnings, which scheme is spoken, and what an interrupt does."""

from __future__ import annotations

import threading
import time

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.errors import Cancelled, ContentNotFound, RegistryError, Unauthorized, UsageError
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient, check_login, connect
from pyoci.registry.credentials import Credential, FixedCredentials
from pyoci.registry.hosts import HostsConfig, HostSettings, Network
from pyoci.registry.session import Request
from tests.fakes.registry import Change, FakeRegistry, Fault, Respond, fake_registry
from tests.integration.real.registry import free_port
from tests.registry_world import CALM, NOBODY, Recorder, sample_image, settled, world

IMAGE = sample_image(100_000)
LAYER = IMAGE.layers[0].digest


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_a_whole_round(auth: str) -> None:
    with world(FakeRegistry(auth=auth)) as here:
        repository = here.repository()
        repository.check_push()
        repository.push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE)
        assert repository.resolve() == repository.fetch_manifest()[1] == IMAGE.root
        target = MemoryContent()
        copy_graph(IMAGE.root, repository, target, reporter=here.reporter)
        assert all(target.has(piece) for piece in IMAGE.pieces)
        assert settled(lambda: not here.registry.uploads)
        assert here.reporter.lines == []


def test_a_redirect_to_another_host_carries_no_authorization() -> None:
    """distribution-spec: "Authorization" must not be forwarded to another host."""
    with fake_registry() as elsewhere, world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE)
        blob = IMAGE.content.open(IMAGE.layers[0]).read()
        elsewhere.add_blob("cdn", blob)
        here.registry.blob_redirect = f"{elsewhere.url}/v2/cdn/blobs/"
        elsewhere.add_blob("cdn", IMAGE.content.open(IMAGE.config).read())
        target = MemoryContent()
        copy_graph(IMAGE.root, here.repository(), target)
        assert target.open(IMAGE.layers[0]).read() == blob
        assert elsewhere.seen
        assert not [seen for seen in elsewhere.seen if "authorization" in {name.lower() for name in seen.headers}]
        assert [seen for seen in here.registry.seen if "Authorization" in seen.headers]


def test_a_redirect_within_the_registry_keeps_it() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE)
        here.publish(IMAGE, "moved/app")
        here.registry.faults = [
            Fault(
                Respond(307, headers={"Location": f"/v2/team/app/blobs/{LAYER}?again"}),
                "GET",
                f"team/app/blobs/{LAYER}$",
            )
        ]
        assert len(here.repository().open(IMAGE.layers[0]).read()) == 100_000


def test_a_way_back_from_another_host_carries_none_either() -> None:
    with fake_registry() as elsewhere, world(FakeRegistry(auth="basic")) as here:
        here.publish(IMAGE)
        there = f"{elsewhere.url}/bounce"
        back = f"{here.registry.url}/v2/team/app/blobs/{LAYER}?back"
        here.registry.faults = [Fault(Respond(307, headers={"Location": there}), "GET", f"blobs/{LAYER}$", 9)]
        elsewhere.faults = [Fault(Respond(302, headers={"Location": back}), times=9)]
        with pytest.raises(Unauthorized):
            here.repository().open(IMAGE.layers[0])
        assert "Authorization" not in here.registry.requests("GET", r"\?back")[0].headers


def test_another_host_that_asks_for_credentials_gets_none() -> None:
    with fake_registry(FakeRegistry(auth="basic")) as elsewhere, world(FakeRegistry(auth="basic")) as here:
        here.publish(IMAGE)
        here.registry.blob_redirect = f"{elsewhere.url}/v2/cdn/blobs/"
        with pytest.raises(
            RegistryError, match=f"{elsewhere.host}, where {here.registry.host} sent us, answered 401"
        ) as caught:
            here.repository().open(IMAGE.layers[0])
        assert "pyoci login" not in (caught.value.hint or "")
        assert not [seen for seen in elsewhere.seen if "Authorization" in seen.headers]


def test_an_upload_that_goes_to_another_host_carries_none() -> None:
    with fake_registry() as elsewhere, world(FakeRegistry(auth="bearer")) as here:
        elsewhere.uploads["u1"] = bytearray()
        here.registry.faults = [
            Fault(
                Respond(202, headers={"Location": f"{elsewhere.url}/v2/team/app/blobs/uploads/u1"}),
                "POST",
                "/blobs/uploads/",
            )
        ]
        layer = IMAGE.layers[0]
        here.repository().put(layer, IMAGE.content.open(layer))
        assert elsewhere.repo("team/app").blobs[LAYER]
        assert not [seen for seen in elsewhere.seen if "Authorization" in seen.headers]


@pytest.mark.parametrize(
    ("origin", "target", "allowed"),
    [
        ("https://r.example/v2/", "https://cdn.example/blob?sig=x", True),
        ("http://r.example/v2/", "https://r.example/v2/", True),
        ("http://r.example/v2/", "http://cdn.example/", True),
        ("https://r.example/v2/", "http://r.example/v2/", False),
        ("https://r.example/v2/", "http://cdn.example/", False),
        ("https://r.example/v2/", "ftp://cdn.example/", False),
        ("https://r.example/v2/", "https://joe:pw@cdn.example/", False),
        ("https://r.example/v2/", "https://cdn.example:99999/", False),
        ("https://r.example/v2/", "https://cdn.example:x/", False),
        ("https://r.example/v2/", "https://[::1/", False),
    ],
)
def test_where_a_redirect_may_lead(origin: str, target: str, allowed: bool) -> None:
    repository = connect(parse_reference("r.example/app:1"))
    session = repository._session
    endpoint = session.hosts.endpoints(repository.reference)[0]
    request = Request("GET", "/v2/", endpoint, "pull r.example/app:1", frozenset({200}))
    if allowed:
        assert session.target(origin, target, request) == target
        return
    with pytest.raises(RegistryError, match=r"^cannot pull r\.example/app:1: r\.example sends on to ") as caught:
        session.target(origin, target, request)
    assert "sig" not in caught.value.message
    assert "pw" not in caught.value.message


def test_wrong_credentials_are_told_from_none() -> None:
    with fake_registry(FakeRegistry(auth="basic")) as registry:
        reference = parse_reference(f"{registry.host}/team/app:1")
        anonymous = RegistryClient(credentials=NOBODY)
        with pytest.raises(Unauthorized, match="authentication required") as caught:
            anonymous.repository(reference).fetch_manifest()
        assert caught.value.hint == f"log in first: pyoci login {registry.host}"
        wrong = RegistryClient(credentials=FixedCredentials({registry.host: Credential("joe", "wrong-password")}))
        with pytest.raises(Unauthorized) as caught:
            wrong.repository(reference).fetch_manifest()
        assert (
            caught.value.hint
            == f"{registry.host} did not accept the credentials; log in again: pyoci login {registry.host}"
        )
        anonymous.close()
        wrong.close()


def test_wrong_credentials_at_a_token_server() -> None:
    with fake_registry(FakeRegistry(auth="bearer")) as registry:
        wrong = FixedCredentials({registry.host: Credential("joe", "wrong-password")})
        with (
            RegistryClient(credentials=wrong) as client,
            pytest.raises(Unauthorized, match=r"^cannot log in to .*: incorrect username or password") as caught,
        ):
            client.repository(parse_reference(f"{registry.host}/team/app:1")).resolve()
        assert caught.value.hint == f"log in again: pyoci login {registry.host}"
        assert "wrong-password" not in str(caught.value)


def test_logging_in_is_tried_before_it_is_kept() -> None:
    for auth in ("basic", "bearer"):
        with fake_registry(FakeRegistry(auth=auth)) as registry:
            check_login(registry.host, Credential(registry.user, registry.password))
            check_login(f"{registry.host}/team", Credential(registry.user, registry.password))
            with pytest.raises(Unauthorized):
                check_login(registry.host, Credential(registry.user, "wrong-password"))


def test_an_identity_token_is_enough() -> None:
    with world(FakeRegistry(auth="bearer", identity_token="refresh-secret")) as here:
        here.repository().push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE)
        (request,) = {seen.method for seen in here.registry.requests(path="^/token")}
        assert request == "POST"


def test_anonymous_pulls_get_an_anonymous_token() -> None:
    with world(FakeRegistry(auth="bearer", anonymous_pull=True), credentials=NOBODY) as here:
        here.publish(IMAGE)
        assert here.repository().resolve() == IMAGE.root
        with pytest.raises(Unauthorized):
            here.repository().check_push()


def test_one_push_needs_one_token() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        repository = here.repository()
        repository.check_push()
        repository.push(IMAGE.root, IMAGE.content)
        assert len(here.registry.requests(path="^/token")) == 1
        refused = [
            seen for seen in here.registry.seen if "Authorization" not in seen.headers and "/token" not in seen.path
        ]
        assert len(refused) == 2  # which scheme is spoken, and the first request of all


def test_warnings_are_shown_once() -> None:
    with world() as here:
        here.publish(IMAGE)
        warning = '299 - "this \\"tag\\"\twill vanish\x1b[2J", 299 - "and this", 199 - "not this"'
        here.registry.faults = [Fault(Change(headers={"Warning": warning}), path="/v2/team", times=99)]
        for _ in range(3):
            here.repository().resolve()
        host = here.registry.host
        assert here.reporter.lines == [
            f'warning: {host} says: this "tag" will vanish [2J',
            f"warning: {host} says: and this",
        ]


def test_waits_of_a_second_and_more_are_told() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Respond(503, headers={"Retry-After": "12"}), "HEAD")]
        here.repository().resolve()
        assert here.reporter.lines == [f"{here.registry.host} answered 503; trying again in 12 s"]
        assert here.slept == [12.0]


def test_a_wait_that_is_too_long_is_an_error_that_says_how_long() -> None:
    with world() as here:
        here.registry.faults = [Fault(Respond(429, headers={"Retry-After": "7200"}), times=99)]
        with pytest.raises(RegistryError) as caught:
            here.repository().resolve()
        assert caught.value.hint == "the registry asks to wait 7200 s before the next attempt"
        assert here.slept == []


def test_a_host_that_must_speak_tls_is_not_spoken_to_without() -> None:
    with fake_registry() as registry:
        config = HostsConfig(network=CALM, hosts={registry.host: HostSettings()})
        reference = parse_reference(f"{registry.host}/app:1")
        endpoint = config.endpoints(reference)[0]
        assert endpoint.schemes == ("https", "http")
        plain_name = registry.host.replace("127.0.0.1", "0.0.0.0")  # the same server, by a name that is not loopback's
        with RegistryClient(config) as client:
            with pytest.raises(RegistryError, match="does not speak TLS") as caught:
                client.repository(parse_reference(f"{plain_name}/app:1")).resolve()
            assert caught.value.hint == (
                f"if it really is a registry without TLS, allow it: --insecure-registry {plain_name}"
            )
        assert registry.seen == []
        with (
            RegistryClient(config.with_insecure([plain_name])) as client,
            pytest.raises(ContentNotFound, match="manifest unknown"),
        ):
            client.repository(parse_reference(f"{plain_name}/app:1")).fetch_manifest()


def test_plain_http_by_configuration_tries_no_tls() -> None:
    with fake_registry() as registry:
        config = HostsConfig(hosts={registry.host: HostSettings(plain_http=True)})
        with RegistryClient(config) as client, pytest.raises(ContentNotFound, match="manifest unknown"):
            client.repository(parse_reference(f"{registry.host}/app:1")).fetch_manifest()
        assert [seen.path for seen in registry.seen] == ["/v2/app/manifests/1"]


def test_nothing_listens() -> None:
    host = f"127.0.0.1:{free_port()}"
    slept: list[float] = []
    with (
        RegistryClient(HostsConfig(network=CALM), sleep=slept.append, random=lambda: 0.0) as client,
        pytest.raises(RegistryError, match=rf"^cannot find {host}/app:1: connection refused by {host}$"),
    ):
        client.repository(parse_reference(f"{host}/app:1")).resolve()
    assert len(slept) == 2


def test_a_certificate_that_cannot_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    config = HostsConfig(ca_files=(path,), network=CALM)
    for content, reason in ((None, "No such file or directory"), ("no PEM", "not a certificate or key in PEM")):
        if content is not None:
            path.write_text(content)
        with (
            RegistryClient(config) as client,
            pytest.raises(UsageError, match=rf"^cannot use CA file {path}: {reason}"),
        ):
            client.repository(parse_reference("registry.invalid/app:1")).resolve()


def test_an_interrupt_ends_a_wait_and_what_comes_after() -> None:
    cancelled = threading.Event()
    with fake_registry() as registry:
        registry.faults = [Fault(Respond(503, headers={"Retry-After": "50"}), times=99)]
        with RegistryClient(HostsConfig(network=Network()), cancelled=cancelled, reporter=Recorder()) as client:
            threading.Timer(0.1, cancelled.set).start()
            started = time.monotonic()
            with pytest.raises(Cancelled):
                client.repository(parse_reference(f"{registry.host}/app:1")).resolve()
            assert time.monotonic() - started < 10
            seen = len(registry.seen)
            with pytest.raises(Cancelled):
                client.repository(parse_reference(f"{registry.host}/app:1")).resolve()
            assert len(registry.seen) == seen


def test_cookies_are_neither_kept_nor_sent() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Change(headers={"Set-Cookie": "a=b; Path=/"}), times=99)]
        here.repository().resolve()
        here.repository().resolve()
        assert not [seen for seen in here.registry.seen if "Cookie" in seen.headers]


def test_every_request_says_who_asks() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.repository().resolve()
        assert {seen.headers["User-Agent"] for seen in here.registry.seen} == {"pyoci"}


def test_many_threads_share_a_client() -> None:
    images = [sample_image(1000, 2000, 3000, seed=seed) for seed in range(8)]
    with world(FakeRegistry(auth="bearer")) as here:

        def push(number: int) -> None:
            here.repository(f"team/app{number}:1").push(images[number].root, images[number].content)

        threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert all(here.has_whole(image, f"team/app{number}") for number, image in enumerate(images))
