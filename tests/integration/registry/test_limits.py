"""What [limits] of config.toml says of images, held against one that a real registry has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.content import MemoryContent
from pyoci.image import (
    ContainerConfig,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    encode_config,
    encode_index,
    encode_manifest,
    media_types,
)
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from tests.builders import make_layer
from tests.integration.real.registry import RealRegistry, real_registry
from tests.integration.registry.command_line import CommandLine

pytestmark = pytest.mark.needs_registry

LARGE_CONFIG_BYTES = 5 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """Has `app:1`: an index in an index, an image of two layers whose manifest is large, a note about it and one about
    the note; and `large:1`, an image with a very large config.
    """
    with real_registry(tmp_path_factory.mktemp("registry")) as running, RegistryClient() as client:
        content = MemoryContent()
        manifest = add_image(content, annotations={"note": "n" * 100_000})
        inner = content.add(encode_index(Index((manifest,))).raw, media_types.INDEX)
        outer = content.add(encode_index(Index((inner,))).raw, media_types.INDEX)
        client.repository(parse_reference(f"{running.host}/app:1")).push(outer, content)
        subject = outer
        for text in (b"one", b"two"):
            note = subject = add_note(content, subject, text)
            client.repository(parse_reference(f"{running.host}/app@{note.digest}", default_tag=None)).push(
                note, content
            )
        large = add_image(content, labels={"text": "t" * LARGE_CONFIG_BYTES})
        client.repository(parse_reference(f"{running.host}/large:1")).push(large, content)
        yield running


def add_image(
    content: MemoryContent, *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> Descriptor:
    made = [make_layer({f"file{number}": bytes([number]) * 100}) for number in range(2)]
    layers = tuple(content.add(layer.tar, media_types.LAYER) for layer in made)
    diff_ids = tuple(layer.diff_id for layer in made)
    config = encode_config(
        ImageConfig(Platform("linux", "amd64"), ContainerConfig(labels=labels or {}), diff_ids=diff_ids)
    )
    described = content.add(config.raw, media_types.CONFIG)
    manifest = encode_manifest(Manifest(described, layers, annotations=annotations or {}))
    return content.add(manifest.raw, media_types.MANIFEST)


def add_note(content: MemoryContent, subject: Descriptor, text: bytes) -> Descriptor:
    config, blob = content.add(b"{}", media_types.EMPTY), content.add(text, "text/plain")
    note = encode_manifest(Manifest(config, (blob,), artifact_type="text/x-note", subject=subject))
    return content.add(note.raw, media_types.MANIFEST)


def configure(pyoci: CommandLine, line: str) -> None:
    path = pyoci.directory / ".config/pyoci/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[limits]\n{line}\n")


@pytest.mark.parametrize(
    ("key", "too_low", "enough", "message"),
    [
        ("document-size", "'64KiB'", "'200KiB'", "the answer is longer than the 65536 bytes that it may have"),
        ("image-size", "'64KiB'", "'1MiB'", "more than 65536 bytes of content below one root"),
        ("image-pieces", "5", "6", "more than 5 pieces of content below one root"),
        ("index-depth", "1", "2", "indexes are nested more than 1 deep"),
        ("referrers", "1", "2", "more than 1 manifests refer to"),
        ("referrer-depth", "1", "2", "manifests refer to each other more than 1 deep"),
    ],
)
def test_an_image_beyond_a_limit_is_refused_and_within_it_copied(
    key: str, too_low: str, enough: str, message: str, registry: RealRegistry, tmp_path: Path
) -> None:
    pyoci = CommandLine(tmp_path)
    copied = ("copy", "--referrers", f"{registry.host}/app:1", "oci-layout:kept:1")
    configure(pyoci, f"{key} = {too_low}")
    refused = pyoci(*copied)
    assert refused.returncode == 1
    assert message in refused.stderr.splitlines()[0]
    assert refused.stderr.splitlines()[-1] == (
        f"hint: if an image may be so, raise {key} in the table [limits] of config.toml"
    )
    assert not (tmp_path / "kept/index.json").exists()
    configure(pyoci, f"{key} = {enough}")
    pyoci.ok(*copied)


def test_a_config_beyond_what_is_usual_is_read_once_that_was_allowed(registry: RealRegistry, tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/large:1\nLABEL text=\n")
    build = ("build", "-q", "--preflight=off", "-t", "small", ".")
    refused = pyoci(*build)
    assert refused.returncode == 1
    assert "more than the 4194304 that a document may have" in refused.stderr
    assert "raise document-size in the table [limits] of config.toml" in refused.stderr
    configure(pyoci, "document-size = '8MiB'")
    pyoci.ok(*build)
    pyoci.ok("pull", f"{registry.host}/large:1")
    (tmp_path / ".config/pyoci/config.toml").unlink()
    assert "large" in pyoci.ok("images"), "what is in the store was within the limits of its day"
    blobs = tmp_path / "store/blobs/sha256"
    before = sorted(path.name for path in blobs.iterdir())
    pyoci.ok("prune")
    assert sorted(path.name for path in blobs.iterdir()) == before
