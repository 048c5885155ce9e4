"""What is attested of the images of one build: their packages, and how they came to be.

Beside the files of an image it is in `provenance.json` and `sbom.spdx.json`, as BuildKit writes them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from pyoci.api.bases import BAKED
from pyoci.api.certificates import read_ca_bundle
from pyoci.api.contexts import git_context, is_url
from pyoci.api.output_options import image_output
from pyoci.api.preflight import StoreMemory
from pyoci.api.prepare import Prepared
from pyoci.api.services import Services
from pyoci.build import host
from pyoci.build.attestations import SPDX_TYPE, Statement, file_subject, image_subject, image_url
from pyoci.build.builder import Built
from pyoci.build.materials import Material
from pyoci.build.provenance import PREDICATE_TYPE, BuildFacts, provenance
from pyoci.build.request import BuildRequest
from pyoci.build.stage_plan import timestamp
from pyoci.digest import digest_hex, sha256_digest
from pyoci.errors import BuildError, UsageError
from pyoci.fetch.url import public
from pyoci.image import Image
from pyoci.inspection.packages_diff import PackageChange
from pyoci.inspection.spdx import Subject, image_packages, os_release, spdx_document
from pyoci.layer.entry import Entry, LayerPath, Upsert
from pyoci.layer.tree import Tree
from pyoci.preflight.reading import Files
from pyoci.values import dataclass, replace

__all__ = ["Attester", "check_attested"]

_IMAGE = "docker-image://"
_FILES: Mapping[str, str] = {PREDICATE_TYPE: "provenance", SPDX_TYPE: "sbom.spdx"}
"""How files are called that hold statements, by what these say."""
_SHORTEST_SECRET = 4
"""Bytes: anything shorter is found by chance."""


def check_attested(request: BuildRequest) -> None:
    """Refuses outputs that have no place for what is attested.

    Raises:
        UsageError: docker's media types know no attestations, as BuildKit says too.
    """
    for output in request.outputs:
        if output.type not in ("local", "tar") and image_output(output, request).form.docker_types:
            raise UsageError(
                "attestations are not possible with docker's media types",
                hint="leave out oci-mediatypes=false, or write --provenance=false and --sbom=false",
            )


class Attester:
    """Says of every image of a build what is in it and how it came to be, as far as that is asked for."""

    def __init__(self, parts: Prepared, services: Services) -> None:
        self._parts = parts
        self._services = services
        self._facts = _facts(parts, services) if parts.request.provenance else None
        self._inventories: dict[str, _Inventory] = {}

    def __call__(self, built: Built, image: Image) -> Sequence[Statement]:
        """The statements about an image, in the form that it has in one output.

        Raises:
            BuildError: what would be told holds a secret.
        """
        subject = image_subject(image, self._parts.tags)
        said: list[Statement] = []
        if self._parts.request.sbom:
            name = built.filesystem.result_id
            if name not in self._inventories:
                self._inventories[name] = _inventory(built, self._services)
            said.append(Statement(subject, SPDX_TYPE, _sbom(image, self._parts, self._inventories[name])))
        if self._facts is not None:
            said.append(Statement(subject, PREDICATE_TYPE, provenance(built.plan, image, self._facts)))
            _refuse_secrets(said[-1], self._parts)
        return said

    def beside(self, tree: Tree, built: Built, *, prefix: str, suffix: str) -> Tree:
        """The files of an image and, among them, what is said of them, each statement in a file of its own. Their names
        begin with `prefix` and have `suffix` before `.json`.

        Raises:
            BuildError: as for an image.
        """
        subject = file_subject(tree)
        files: dict[str, bytes] = {}
        for said in self(built, built.image):
            files[f"{prefix}{_FILES[said.predicate_type]}{suffix}.json"] = replace(said, subject=subject).as_file()
        return tree.with_changes(_Files(files, mtime=self._parts.epoch or 0))


class _Files:
    """A ChangeSet of files in memory, in the root."""

    def __init__(self, files: Mapping[str, bytes], *, mtime: int) -> None:
        self._files = files
        self.changes = [
            Upsert(Entry(LayerPath(name), "file", 0o600, size=len(data), mtime=mtime))
            for name, data in sorted(files.items())
        ]

    def open(self, entry: Entry) -> BinaryIO:
        return io.BytesIO(self._files[entry.path])


@dataclass(frozen=True, slots=True)
class _Inventory:
    """What is in one file system."""

    packages: Sequence[PackageChange]
    release: Mapping[str, str]


def _inventory(built: Built, services: Services) -> _Inventory:
    tree = services.trees.of(built.filesystem)
    files = Files(tree, spool=services.store.root / "tmp", memory=StoreMemory(services))
    return _Inventory(image_packages(files, warn=services.reporter.warning), os_release(tree))


def _sbom(image: Image, parts: Prepared, inventory: _Inventory) -> Mapping[str, Any]:
    from pyoci import __version__

    subject = Subject(
        name=parts.tags[0].familiar if parts.tags else str(image.digest),
        digest=image.digest,
        url=image_url(parts.tags[0], image.platform) if parts.tags else "",
        created=timestamp(parts.epoch),
        tool=f"pyoci-{__version__}",
    )
    return spdx_document(subject, inventory.packages, inventory.release)


def _facts(parts: Prepared, services: Services) -> BuildFacts:
    from pyoci import __version__

    request, environment = parts.request, services.environment
    assert request.provenance
    context, file = str(request.context), str(request.file)
    source = _remote(context, parts) if context != "-" and not environment.path(context).is_dir() else None
    own = PurePosixPath(file or "Dockerfile")
    return BuildFacts(
        mode=request.provenance,
        builder_id=request.builder_id,
        version=__version__,
        request=request,
        dockerfile=parts.inputs.dockerfile,
        dockerfile_path=public(file) if is_url(file) else str(own) if source and not own.is_absolute() else own.name,
        config_source=source,
        contexts={name: _told(name, value, parts) for name, value in sorted(request.build_contexts.items())},
        context_materials=tuple(
            material
            for value in parts.bases.contexts.values()
            if not environment.path(value).exists() and (material := _remote(value, parts)) is not None
        )
        + ((parts.fetching.material(parts.times.source),) if parts.times.source is not None else ()),
        context_names=parts.context_names,
        fetched=parts.fetching.material,
        ca_bundle=_ca_bundle(parts, services),
        platform=environment.platform,
        epoch=parts.epoch,
    )


def _remote(value: str, parts: Prepared) -> Material | None:
    """What a context from the network is; None for one of this machine."""
    git = git_context(value)
    if git is not None:
        return parts.fetching.repository_material(git)
    if is_url(value):
        return parts.fetching.file_material(value)
    return None


def _told(name: str, value: str, parts: Prepared) -> str:
    """What was given for a name, as buildx tells it: of this machine the kind alone."""
    if value.startswith(BAKED):
        return f"target:{value.removeprefix(BAKED).partition('@')[0]}"
    if value.startswith(_IMAGE):
        return value
    if value.startswith(host.PREFIX):
        return host.PREFIX
    root = parts.bases.root(name)
    if root is not None:
        return f"oci-layout://{name}@{root.digest}"
    environment = parts.services.environment
    if environment.path(value).exists():
        return f"local:{name}"
    return public(value)


def _ca_bundle(parts: Prepared, services: Services) -> dict[str, Any] | None:
    value = parts.request.ca_bundle
    if not value:
        return None
    data = read_ca_bundle(value, services.environment)
    return {"source": "host" if value == "host" else "file", "digest": {"sha256": digest_hex(sha256_digest(data))}}


def _refuse_secrets(said: Statement, parts: Prepared) -> None:
    raw = said.encoded()
    for name, value in parts.secrets.named_values().items():
        if len(value.strip()) >= _SHORTEST_SECRET and value.strip() in raw:
            raise BuildError(
                f'the provenance would hold the secret "{name}"',
                hint="it is in a build argument, a label or the Dockerfile; --provenance=mode=min leaves those out",
            )
