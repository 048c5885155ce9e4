"""`pyoci copy` with a real registry, and skopeo as the outside reader and writer of everything between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.content import MemoryContent
from pyoci.content.referrers import fallback_tag
from pyoci.digest import sha256_digest
from pyoci.image import Manifest, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from tests.integration.real.programs import output
from tests.integration.real.registry import RealRegistry, real_registry
from tests.integration.registry.command_line import CommandLine

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_skopeo]

DOCKERFILE = "FROM scratch\nARG TARGETARCH\nCOPY data /data\nCOPY $TARGETARCH /arch\n"
PLATFORMS = "linux/amd64,linux/s390x"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def pyoci(tmp_path: Path) -> CommandLine:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "data").write_bytes(bytes(range(256)) * 400)
    for name in ("amd64", "s390x"):
        (tmp_path / name).write_text(name)
    return CommandLine(tmp_path)


def digest_by_skopeo(place: str) -> str:
    """Of the manifest or index that skopeo finds there."""
    raw = output(["skopeo", "inspect", "--raw", "--tls-verify=false", place]).encode()
    return sha256_digest(raw)


def publish(pyoci: CommandLine, registry: RealRegistry, name: str) -> str:
    reference = f"{registry.host}/{name}"
    pyoci.ok("build", "-q", "--preflight=off", "--platform", PLATFORMS, "-t", reference, "--push", ".")
    return reference


def test_from_registry_to_registry_nothing_is_sent_but_documents(registry: RealRegistry, pyoci: CommandLine) -> None:
    source = publish(pyoci, registry, "one/app:1")
    before = len(registry.requests())
    target = f"{registry.host}/two/app:1"
    digest = pyoci.ok("copy", source, target)
    assert digest_by_skopeo(f"docker://{target}") == digest == digest_by_skopeo(f"docker://{source}")
    requests = registry.requests()[before:]
    assert [line for line in requests if line.startswith("GET") and "/blobs/" in line] == []
    assert [line for line in requests if line.startswith(("PUT", "PATCH")) and "/uploads/" in line] == []
    before = len(registry.requests())
    pyoci.ok("copy", source, target)
    assert [line for line in registry.requests()[before:] if line.startswith("POST")] == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("oci-layout:{}/layout:1.0", "oci:{}/layout:1.0"),
        ("oci-archive:{}/oci.tar:1.0", "oci-archive:{}/oci.tar:1.0"),
    ],
)
def test_skopeo_finds_all_platforms_under_the_name(
    registry: RealRegistry, pyoci: CommandLine, ours: str, theirs: str
) -> None:
    source = publish(pyoci, registry, "three/app:1")
    digest = pyoci.ok("copy", source, ours.format(pyoci.directory))
    assert digest_by_skopeo(theirs.format(pyoci.directory)) == digest


def test_skopeo_reads_a_docker_archive(registry: RealRegistry, pyoci: CommandLine) -> None:
    source = publish(pyoci, registry, "four/app:1")
    archive = pyoci.directory / "docker.tar"
    pyoci.ok("copy", "--platform", "linux/s390x", source, f"docker-archive:{archive}:app:1.0")
    seen = json.loads(output(["skopeo", "inspect", "--override-arch", "s390x", f"docker-archive:{archive}:app:1.0"]))
    assert (seen["Architecture"], len(seen["Layers"])) == ("s390x", 2)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("oci:{}/layout:1.0", "oci-layout:{}/layout:1.0"),
        ("oci-archive:{}/oci.tar:1.0", "oci-archive:{}/oci.tar:1.0"),
        ("docker-archive:{}/docker.tar:app:1.0", "docker-archive:{}/docker.tar:app:1.0"),
    ],
)
def test_what_skopeo_wrote_is_copied_into_a_registry(
    registry: RealRegistry, pyoci: CommandLine, theirs: str, ours: str
) -> None:
    source = publish(pyoci, registry, "five/app:1")
    place = theirs.format(pyoci.directory)
    output(["skopeo", "copy", "--src-tls-verify=false", f"docker://{source}", place])
    target = f"{registry.host}/six/app:{theirs.partition(':')[0]}"
    assert pyoci.ok("copy", ours.format(pyoci.directory), target) == digest_by_skopeo(f"docker://{target}")
    config = json.loads(output(["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{target}"]))
    assert config["architecture"] == "amd64"


def test_the_store_gives_and_takes(registry: RealRegistry, pyoci: CommandLine) -> None:
    source = publish(pyoci, registry, "seven/app:1")
    digest = pyoci.ok("copy", source, "store:taken:1")
    assert "taken" in pyoci.ok("images")
    other = CommandLine(pyoci.directory / "other")
    other.directory.mkdir()
    assert other("copy", "store:taken:1", "oci-archive:x.tar").returncode == 1
    pyoci.ok("copy", "store:taken:1", f"{registry.host}/eight/app:1")
    assert digest_by_skopeo(f"docker://{registry.host}/eight/app:1") == digest


def test_a_source_that_is_not_there_is_one_clear_error(registry: RealRegistry, pyoci: CommandLine) -> None:
    done = pyoci("copy", f"{registry.host}/nothing/app:1", "oci-archive:x.tar")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot find {registry.host}/nothing/app:1: ")
    assert not (pyoci.directory / "x.tar").exists()
    assert pyoci("copy", "docker://app", "store:app").returncode == 2


def attach(place: str, subject: Descriptor, text: str) -> Descriptor:
    """Pushes an artifact about something in a repository, by digest as oras and cosign do."""
    content = MemoryContent()
    config, blob = content.add(b"{}", media_types.EMPTY), content.add(text.encode(), "text/plain")
    document = encode_manifest(Manifest(config, (blob,), artifact_type="text/x-note", subject=subject))
    root = content.add(document.raw, document.media_type)
    with RegistryClient() as client:
        client.repository(parse_reference(f"{place}@{root.digest}", default_tag=None)).push(root, content)
    return root


def test_what_tags_attach_goes_along_and_skopeo_finds_it(registry: RealRegistry, pyoci: CommandLine) -> None:
    """As cosign names signatures and SBOMs that have no subject."""
    source = publish(pyoci, registry, "eleven/app:1")
    repository = source.rpartition(":")[0]
    with RegistryClient() as client:
        root = client.repository(parse_reference(source)).resolve()
    signature, sbom = f"{fallback_tag(root.digest)}.sig", f"{fallback_tag(root.digest)}.sbom"
    made = {
        tag: digest_by_skopeo(f"docker://{publish(pyoci, registry, f'eleven/app:{tag}')}") for tag in (signature, sbom)
    }
    of_sbom = f"{made[sbom].replace(':', '-')}.sig"
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    output(
        ["skopeo", "copy", "--all", *plain, f"docker://{repository}:{signature}", f"docker://{repository}:{of_sbom}"]
    )
    made[of_sbom] = made[signature]
    target = f"{registry.host}/twelve/app"
    pyoci.ok("copy", "--digest-tags", source, "oci-archive:kept.tar:app:1")
    pyoci.ok("copy", "--digest-tags", "oci-archive:kept.tar", f"{target}:1")
    assert set(pyoci.ok("ls", target).split()) == {"1", *made}
    for tag, digest in made.items():
        assert digest_by_skopeo(f"docker://{target}:{tag}") == digest
    before = len(registry.requests())
    pyoci.ok("copy", "--digest-tags", f"{repository}:1", f"{target}:1")
    assert [line for line in registry.requests()[before:] if line.startswith(("PUT", "POST"))] == []


def test_referrers_go_along_where_the_registry_lists_none(registry: RealRegistry, pyoci: CommandLine) -> None:
    """Debian's registry has no referrers API: skopeo reads the list under the tag of distribution-spec's schema."""
    source = publish(pyoci, registry, "nine/app:1")
    repository = source.rpartition(":")[0]
    with RegistryClient() as client:
        root = client.repository(parse_reference(source)).resolve()
    gone, note = attach(repository, root, "to be deleted"), attach(repository, root, "a note")
    about_note = attach(repository, note, "about the note")
    layout, target = "oci-layout:kept:1", f"{registry.host}/ten/app:1"
    pyoci.ok("copy", "--referrers", source, layout)
    pyoci.ok("copy", "--referrers", layout, target)
    listed = json.loads(
        output(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target[:-2]}:{fallback_tag(root.digest)}"]
        )
    )
    assert {entry["digest"] for entry in listed["manifests"]} == {gone.digest, note.digest}
    assert {entry["artifactType"] for entry in listed["manifests"]} == {"text/x-note"}
    assert pyoci.ok("manifest", "referrers", f"{target[:-2]}@{note.digest}") == f"{about_note.digest} text/x-note"
    pyoci.ok("delete", f"{target[:-2]}@{gone.digest}")
    assert pyoci.ok("manifest", "referrers", target) == f"{note.digest} text/x-note"
    before = len(registry.requests())
    pyoci.ok("copy", "--referrers", f"{target[:-2]}:1", f"{registry.host}/ten/app:1")
    assert [line for line in registry.requests()[before:] if line.startswith(("PUT", "POST"))] == []
