"""What TLS promises is kept: a server that tries to lead away from it gets neither credentials nor content."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyoci.errors import ContentNotFound, RegistryError, Unauthorized
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.credentials import Credential, FixedCredentials
from pyoci.registry.hosts import HostsConfig, HostSettings
from pyoci.registry.proxies import Proxies
from pyoci.registry.repository import Repository
from tests.fakes.registry import FakeRegistry, Fault, Respond, fake_registry
from tests.integration.real.registry import Certificates, make_certificates
from tests.registry_world import CALM, sample_image

IMAGE = sample_image(100_000)
LAYER = IMAGE.layers[0]


@dataclass(frozen=True, slots=True)
class Ground:
    """A registry with TLS, a plain one that it may try to lead to, and a client that trusts the first."""

    registry: FakeRegistry
    plain: FakeRegistry
    repository: Repository


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def ground(certificates: Certificates) -> Iterator[Ground]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    with fake_registry(FakeRegistry(auth="bearer"), tls=context) as registry, fake_registry() as plain:
        registry.add_blob("team/app", IMAGE.content.open(LAYER).read())
        plain.add_blob("team/app", IMAGE.content.open(LAYER).read())
        hosts = HostsConfig(hosts={registry.host: HostSettings(ca_files=(certificates.ca,))}, network=CALM)
        known = FixedCredentials({registry.host: Credential(registry.user, registry.password)})
        with RegistryClient(hosts, known, sleep=lambda _: None) as client:
            yield Ground(registry, plain, client.repository(parse_reference(f"{registry.host}/team/app:1")))


def test_it_works_at_all(ground: Ground) -> None:
    assert ground.repository.open(LAYER).read() == IMAGE.content.open(LAYER).read()


def test_loopback_without_a_ca_is_not_verified_and_nobody_is_warned(ground: Ground) -> None:
    """As docker treats it; a warning of the HTTP library would be an error here."""
    ground.registry.auth = ""
    with RegistryClient(HostsConfig(network=CALM)) as client:
        repository = client.repository(parse_reference(f"{ground.registry.host}/team/app:1"))
        assert len(repository.open(LAYER).read()) == LAYER.size


def test_a_redirect_to_plain_http_is_refused(ground: Ground) -> None:
    target = f"{ground.plain.url}/v2/team/app/blobs/{LAYER.digest}?signature=s3cret"
    ground.registry.faults = [Fault(Respond(307, headers={"Location": target}), "GET", "/blobs/", 99)]
    with pytest.raises(RegistryError, match=r"sends on to http://.*, which would leave TLS") as caught:
        ground.repository.open(LAYER)
    assert "s3cret" not in str(caught.value)
    assert ground.plain.seen == []


def test_a_redirect_to_its_own_plain_port_is_refused(ground: Ground) -> None:
    target = f"http://{ground.registry.host}/v2/team/app/blobs/{LAYER.digest}"
    ground.registry.faults = [Fault(Respond(302, headers={"Location": target}), "GET", "/blobs/", 99)]
    with pytest.raises(RegistryError, match="which would leave TLS"):
        ground.repository.open(LAYER)


def test_a_token_server_without_tls_gets_no_password(ground: Ground) -> None:
    ground.registry.realm = f"{ground.plain.url}/token"
    with pytest.raises(Unauthorized, match="names a token server that credentials cannot be sent to safely"):
        ground.repository.open(LAYER)
    assert ground.plain.seen == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_upload_is_not_led_out_of_tls(method: str, ground: Ground) -> None:
    blob = IMAGE.config
    target = f"{ground.plain.url}/v2/team/app/blobs/uploads/u1"
    status = 202 if method == "POST" else 307
    ground.registry.faults = [Fault(Respond(status, headers={"Location": target}), method, "/uploads/", 99)]
    with pytest.raises(RegistryError, match="which would leave TLS"):
        ground.repository.put(blob, io.BytesIO(IMAGE.content.open(blob).read()))
    assert ground.plain.seen == []


def test_a_redirect_into_tls_is_trusted_by_the_other_hosts_own_rules(
    certificates: Certificates, ground: Ground
) -> None:
    """The way from a plain registry to a server with TLS: its certificate is checked like any other's."""
    plain = ground.plain
    target = f"{ground.registry.url}/v2/team/app/blobs/{LAYER.digest}"
    ground.registry.auth = ""
    for settings, trusted in (
        (HostSettings(ca_files=(certificates.ca,)), True),
        (HostSettings(ca_files=(certificates.certificate,)), False),
    ):
        plain.faults = [Fault(Respond(307, headers={"Location": target}), "GET", "/blobs/", 99)]
        hosts = HostsConfig(hosts={ground.registry.host: settings}, network=CALM)
        with RegistryClient(hosts, sleep=lambda _: None) as client:
            repository = client.repository(parse_reference(f"{plain.host}/team/app:1"))
            if trusted:
                assert len(repository.open(LAYER).read()) == LAYER.size
            else:
                with pytest.raises(RegistryError, match="is not trusted"):
                    repository.open(LAYER)


def test_a_proxy_is_asked_and_its_password_is_not_told(tmp_path: Path) -> None:
    """The fake registry is the proxy: it answers for a name that nobody can resolve."""
    with fake_registry() as proxy:
        proxies = Proxies(http=f"http://joe:proxy-s3cret@{proxy.host}")
        hosts = HostsConfig(
            hosts={"registry.invalid:5000": HostSettings(plain_http=True)}, proxies=proxies, network=CALM
        )
        reference = parse_reference("registry.invalid:5000/team/app:1")
        with RegistryClient(hosts, sleep=lambda _: None) as client:
            with pytest.raises(ContentNotFound, match="manifest unknown"):
                client.repository(reference).fetch_manifest()
            (seen,) = proxy.seen
            assert seen.path == "http://registry.invalid:5000/v2/team/app/manifests/1"
            assert seen.headers["Proxy-Authorization"].startswith("Basic ")
        for broken in (
            "http://joe:proxy-s3cret@127.0.0.1:1",
            "socks9://joe:proxy-s3cret@h",
            "http://joe:proxy-s3cret@:x",
        ):
            config = HostsConfig(hosts.hosts, proxies=Proxies(http=broken), network=CALM)
            with RegistryClient(config, sleep=lambda _: None) as client, pytest.raises(RegistryError) as caught:
                client.repository(reference).fetch_manifest()
            assert "proxy for registry.invalid:5000" in str(caught.value)
            assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.url}"
