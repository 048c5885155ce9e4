"""Debian's docker-registry as the judge of the client, and skopeo as an outside reader and writer of what moves."""

from __future__ import annotations

import io
import json
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.errors import ContentNotFound, RegistryError, Unauthorized
from pyoci.image import Image, Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient, check_login
from pyoci.registry.credential_files import save_login
from pyoci.registry.credentials import Credential, CredentialFiles, FixedCredentials
from pyoci.registry.hosts import HostsConfig, HostSettings, Network
from pyoci.registry.repository import Repository
from tests.builders import check_image, make_image, make_layer
from tests.integration.real.programs import output
from tests.integration.real.registry import (
    Certificates,
    RealRegistry,
    make_certificates,
    real_registry,
    sign_certificate,
)
from tests.integration.real.token_server import token_server
from tests.integration.registry.command_line import CommandLine
from tests.registry_world import Recorder, sample_image

pytestmark = pytest.mark.needs_registry

JOE = Credential("joe", "hunter2-secret")
USERS = {"joe": "hunter2-secret"}
QUICK = Network(attempts=2, backoff_seconds=0.05)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A registry without TLS and without users."""
    with real_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[RealRegistry]:
    """A registry with TLS and one user."""
    with real_registry(tmp_path_factory.mktemp("guarded"), users=USERS, tls=certificates) as registry:
        yield registry


@pytest.fixture(scope="module")
def image() -> tuple[MemoryContent, Image]:
    bottom = make_layer({"bin/app": b"#!/bin/sh\n" * 5000, "etc/passwd": b"root:x:0:0::/:/bin/sh\n"})
    top = make_layer({"data": bytes(range(256)) * 2000})
    return make_image([bottom, top])


def trusting(registry: RealRegistry) -> HostsConfig:
    """Loopback hosts are not verified unless a CA is configured for them."""
    assert registry.tls is not None
    return HostsConfig(hosts={registry.host: HostSettings(ca_files=(registry.tls.ca,))}, network=QUICK)


def check_round(repository: Repository, content: MemoryContent, image: Image) -> None:
    root = image.manifest.descriptor()
    repository.check_push()
    repository.push(root, content)
    assert repository.resolve() == root
    target = MemoryContent()
    copy_graph(repository.resolve(), repository, target)
    check_image(image, target)


def test_a_round_without_users(plain: RealRegistry, image: tuple[MemoryContent, Image]) -> None:
    with RegistryClient() as client:
        check_round(client.repository(parse_reference(f"{plain.host}/round/app:1")), *image)


def test_a_round_with_tls_and_a_user(guarded: RealRegistry, image: tuple[MemoryContent, Image]) -> None:
    credentials = FixedCredentials({guarded.host: JOE})
    with RegistryClient(trusting(guarded), credentials) as client:
        check_round(client.repository(parse_reference(f"{guarded.host}/round/app:1")), *image)


def test_a_ca_in_certs_d_and_a_login_in_a_file(
    guarded: RealRegistry, certificates: Certificates, image: tuple[MemoryContent, Image], tmp_path: Path
) -> None:
    folder = tmp_path / "certs.d" / guarded.host
    folder.mkdir(parents=True)
    shutil.copy(certificates.ca, folder / "ca.crt")
    config = tmp_path / "docker" / "config.json"
    check_login(guarded.host, JOE, trusting(guarded))
    save_login((config,), guarded.host, JOE, environment={})
    hosts = HostsConfig(certs_dirs=(tmp_path / "certs.d",), network=QUICK)
    with RegistryClient(hosts, CredentialFiles((config,))) as client:
        check_round(client.repository(parse_reference(f"{guarded.host}/files/app:1")), *image)


def test_a_certificate_of_another_ca_is_not_trusted(guarded: RealRegistry, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other")
    hosts = HostsConfig(hosts={guarded.host: HostSettings(ca_files=(other.ca,))}, network=QUICK)
    with (
        RegistryClient(hosts, FixedCredentials({guarded.host: JOE})) as client,
        pytest.raises(
            RegistryError, match=rf"^cannot find .*: the certificate of {guarded.host} is not trusted: "
        ) as caught,
    ):
        client.repository(parse_reference(f"{guarded.host}/round/app:1")).resolve()
    assert caught.value.hint == (
        "name the certificate of its CA with --ca-file or as ca-files in config.toml, or put it into "
        f"certs.d/{guarded.host}/ca.crt"
    )


def test_a_registry_that_wants_a_client_certificate(
    certificates: Certificates, image: tuple[MemoryContent, Image], tmp_path: Path
) -> None:
    strict = replace(certificates, wants_clients=True)
    with real_registry(tmp_path / "registry", tls=strict) as registry:
        folder = tmp_path / "certs.d" / registry.host
        folder.mkdir(parents=True)
        shutil.copy(certificates.ca, folder / "ca.crt")
        hosts = HostsConfig(certs_dirs=(tmp_path / "certs.d",), network=QUICK)
        reference = parse_reference(f"{registry.host}/app:1")
        with RegistryClient(hosts) as client, pytest.raises(RegistryError, match=f"{registry.host}"):
            client.repository(reference).resolve()
        sign_certificate(certificates, folder / "me.cert", folder / "me.key")
        with RegistryClient(hosts) as client:
            check_round(client.repository(reference), *image)


def test_certificates_in_a_directory_that_was_named(certificates: Certificates, tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    with real_registry(tmp_path / "registry", tls=replace(certificates, wants_clients=True)) as registry:
        (tmp_path / "context").mkdir()
        (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
        pyoci.ok("build", "-q", "--preflight=off", "-t", "app", "context")
        (tmp_path / "certs").mkdir()
        shutil.copy(certificates.ca, tmp_path / "certs" / "ca.crt")
        copied = ("copy", "store:app", f"{registry.host}/app:1")
        assert pyoci(*copied, "--cert-dir", "certs").returncode == 1
        sign_certificate(certificates, tmp_path / "certs" / "me.cert", tmp_path / "certs" / "me.key")
        pyoci.ok(*copied, "--cert-dir", "certs")
        assert pyoci.ok("ls", "--cert-dir", "certs", f"{registry.host}/app") == "1"
        missing = pyoci("ls", "--cert-dir", "gone", f"{registry.host}/app")
        assert missing.returncode == 2
        assert missing.stderr.startswith(f"error: there is no directory {tmp_path / 'gone'}\n")


def test_who_may_not(guarded: RealRegistry) -> None:
    reference = parse_reference(f"{guarded.host}/round/app:1")
    with (
        RegistryClient(trusting(guarded), FixedCredentials({})) as client,
        pytest.raises(Unauthorized, match="authentication required") as caught,
    ):
        client.repository(reference).check_push()
    assert caught.value.hint == f"log in first: pyoci login {guarded.host}"
    with pytest.raises(Unauthorized) as caught:
        check_login(guarded.host, Credential("joe", "wrong-password"), trusting(guarded))
    assert "wrong-password" not in f"{caught.value} {caught.value.hint}"


def test_what_is_not_there(plain: RealRegistry) -> None:
    with RegistryClient() as client:
        for name in ("nobody/app:1", f"nobody/app@sha256:{'0' * 64}"):
            repository = client.repository(parse_reference(f"{plain.host}/{name}"))
            with pytest.raises(ContentNotFound, match=r"does not have it$"):
                repository.resolve()
            with pytest.raises(ContentNotFound, match=r"manifest unknown$"):
                repository.fetch_manifest()
        with pytest.raises(ContentNotFound, match="repository name not known to registry"):
            list(client.repository(parse_reference(f"{plain.host}/nobody/app:1")).tags())


def test_what_another_repository_has_is_mounted(plain: RealRegistry, image: tuple[MemoryContent, Image]) -> None:
    content, value = image
    root = value.manifest.descriptor()
    recorder = Recorder()
    with RegistryClient(reporter=recorder) as client:
        client.repository(parse_reference(f"{plain.host}/mount/base:1")).push(root, content)

        def places(blob: Descriptor) -> Sequence[str]:
            return ["mount/none", "mount/base"]

        client.repository(parse_reference(f"{plain.host}/mount/app:1"), mount_from=places).push(root, content)
    blobs = [value.manifest.value.config, *value.manifest.value.layers]
    assert {recorder.outcomes[blob.digest] for blob in blobs} == {"mounted"}
    assert not [line for line in plain.requests() if line.startswith("PUT /v2/mount/app/blobs/")]


def test_tokens_of_a_real_registry(
    certificates: Certificates, image: tuple[MemoryContent, Image], tmp_path: Path
) -> None:
    """Scopes as the registry asks for them, a mount that needs two, and tokens that live for a second."""
    content, value = image
    root = value.manifest.descriptor()
    with (
        token_server(tmp_path / "tokens", certificates, life_seconds=1) as tokens,
        real_registry(tmp_path / "registry", token=tokens.auth) as registry,
    ):
        credentials = FixedCredentials({registry.host: Credential(tokens.user, tokens.password)})
        with RegistryClient(HostsConfig(network=QUICK), credentials) as client:
            check_round(client.repository(parse_reference(f"{registry.host}/team/base:1")), content, value)
            recorder = Recorder()
        with RegistryClient(HostsConfig(network=QUICK), credentials, reporter=recorder) as client:
            app = client.repository(parse_reference(f"{registry.host}/team/app:1"), mount_from=lambda _: ["team/base"])
            app.push(root, content)
            assert set(recorder.outcomes.values()) == {"mounted", "done"}
            app.delete(root.digest)
        assert ("repository:team/app:pull,push", "repository:team/base:pull") in tokens.scopes
        with RegistryClient(HostsConfig(network=QUICK), FixedCredentials({})) as client:
            anonymous = client.repository(parse_reference(f"{registry.host}/team/base:1"))
            assert anonymous.resolve() == root
            with pytest.raises(Unauthorized):
                anonymous.check_push()


def test_chunks(plain: RealRegistry) -> None:
    image = sample_image(300_000)
    hosts = HostsConfig(hosts={plain.host: HostSettings(chunk_bytes=65_536)})
    with RegistryClient(hosts) as client:
        repository = client.repository(parse_reference(f"{plain.host}/chunks/app:1"))
        repository.push(image.root, image.content)
        assert repository.open(image.layers[0]).read() == image.content.open(image.layers[0]).read()
    patches = [line for line in plain.requests() if line.startswith("PATCH /v2/chunks/app/")]
    assert len(patches) == 5  # 300,000 / 65,536


def test_a_blob_that_is_broken_off_in_the_registry_goes_on(plain: RealRegistry) -> None:
    """docker-registry serves ranges, so that a reader in the middle of a blob gets the rest."""
    image = sample_image(500_000, seed=3)
    with RegistryClient(HostsConfig(network=QUICK)) as client:
        repository = client.repository(parse_reference(f"{plain.host}/range/app:1"))
        repository.push(image.root, image.content)
        client._session.close()
        stream = repository.open(image.layers[0])
        first = stream.read(200_000)
        stream.raw._stream._answer.stream._connection.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # the line goes dead
        assert first + stream.read() == image.content.open(image.layers[0]).read()


def test_lists_and_deletion(plain: RealRegistry, image: tuple[MemoryContent, Image]) -> None:
    content, value = image
    root = value.manifest.descriptor()
    tags = [f"v{number:02}" for number in range(12)]
    with RegistryClient() as client:
        for tag in tags:
            client.repository(parse_reference(f"{plain.host}/list/app:{tag}")).push(root, content)
        repository = client.repository(parse_reference(f"{plain.host}/list/app:v00"))
        assert sorted(repository.tags()) == tags
        repository.delete(root.digest)
        assert list(repository.tags()) == []
        with pytest.raises(ContentNotFound):
            repository.delete(root.digest)


def test_referrers_by_the_tag_schema(plain: RealRegistry, image: tuple[MemoryContent, Image]) -> None:
    """docker-registry 2.8 knows no referrers API."""
    content, value = image
    root = value.manifest.descriptor()
    with RegistryClient() as client:
        repository = client.repository(parse_reference(f"{plain.host}/referrers/app:1"))
        repository.push(root, content)
        empty = content.add(b"{}", media_types.EMPTY)
        note = content.add(b"signed", "text/plain")
        document = encode_manifest(Manifest(empty, (note,), artifact_type="application/vnd.example", subject=root))
        content.put(document.descriptor(), io.BytesIO(document.raw))
        client.repository(replace(repository.reference, tag=None)).push(document.descriptor(), content)
        (found,) = repository.referrers(root.digest)
        assert (found.digest, found.artifact_type) == (document.digest, "application/vnd.example")


@pytest.mark.needs_skopeo
def test_skopeo_reads_what_was_pushed(
    guarded: RealRegistry, certificates: Certificates, image: tuple[MemoryContent, Image], tmp_path: Path
) -> None:
    content, value = image
    index = encode_index(Index((replace(value.manifest.descriptor(), platform=value.platform),)))
    content.put(index.descriptor(), io.BytesIO(index.raw))
    with RegistryClient(trusting(guarded), FixedCredentials({guarded.host: JOE})) as client:
        client.repository(parse_reference(f"{guarded.host}/skopeo/app:1")).push(index.descriptor(), content)
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    shutil.copy(certificates.ca, trusted)
    flags = ["--cert-dir", str(trusted), "--creds", "joe:hunter2-secret"]
    seen = json.loads(output(["skopeo", "inspect", *flags, f"docker://{guarded.host}/skopeo/app:1"]))
    assert seen["Digest"] == index.digest
    assert seen["Layers"] == [layer.digest for layer in value.manifest.value.layers]
    source = ["--src-cert-dir", str(trusted), "--src-creds", "joe:hunter2-secret"]
    output(
        [
            "skopeo",
            "--insecure-policy",
            "copy",
            *source,
            f"docker://{guarded.host}/skopeo/app:1",
            f"oci:{tmp_path}/out:1",
        ]
    )
    blobs = {entry.name for entry in (tmp_path / "out/blobs/sha256").iterdir()}
    assert {blob.digest.removeprefix("sha256:") for blob in value.manifest.value.layers} <= blobs


@pytest.mark.needs_skopeo
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_pushed_is_read(
    form: str, plain: RealRegistry, image: tuple[MemoryContent, Image], tmp_path: Path
) -> None:
    """Also as Docker's schema 2, which skopeo writes on demand."""
    content, value = image
    with RegistryClient() as client:
        client.repository(parse_reference(f"{plain.host}/from/app:1")).push(value.manifest.descriptor(), content)
        output(
            [
                *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
                *("--format", form, f"docker://{plain.host}/from/app:1", f"docker://{plain.host}/to/app:{form}"),
            ]
        )
        repository = client.repository(parse_reference(f"{plain.host}/to/app:{form}"))
        root = repository.resolve()
        assert root.media_type == (media_types.MANIFEST if form == "oci" else media_types.DOCKER_MANIFEST)
        target = MemoryContent()
        copy_graph(root, repository, target)
        assert target.has(root)
        assert all(target.has(layer) for layer in value.manifest.value.layers)
