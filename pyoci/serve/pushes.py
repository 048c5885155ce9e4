"""What clients change: blobs taken over, manifests put under tags and digests, and both taken away again."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from pyoci.digest import Digest
from pyoci.errors import InvalidDocument
from pyoci.image import media_types
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter
from pyoci.serve.documents import DocumentFacts, document_facts, is_document_type
from pyoci.serve.inventory import WritableInventory
from pyoci.serve.refusals import Fault, Refused, blob_unknown, manifest_unknown
from pyoci.serve.repositories import Content, Repositories, Repository, digest_in_path, reference_in_path

__all__ = ["Pushes"]

_FOREIGN = ("nondistributable", "rootfs.foreign")
"""In the media types of layers that a registry need not have: they may only be had where their `urls` say."""


class Pushes:
    """Changes to the repositories of one server."""

    def __init__(self, shown: Repositories, inventory: WritableInventory, reporter: Reporter) -> None:
        self._shown = shown
        self._inventory = inventory
        self._reporter = reporter

    # blobs

    def add_blob(self, repository: Repository, path: Path, descriptor: Descriptor) -> None:
        """Takes a verified file over."""
        self._inventory.adopt(path, descriptor)
        self._shown.links.add_blob(repository.name.name, descriptor)

    def mount(self, repository: Repository, text: str, source: str, *, host: str = "") -> Digest | None:
        """Shows a blob of another repository here as well (of any, if none is named); None if it is not there."""
        try:
            digest = digest_in_path(text)
            places = [self._shown.repository(source, host=host)] if source else [*self._shown.all()]
        except Refused:
            return None
        for place in places:
            try:
                found = place.blob(digest)
            except Refused:
                continue
            self._shown.links.add_blob(repository.name.name, found)
            return digest
        return None

    def delete_blob(self, repository: Repository, digest: Digest) -> None:
        """Shows a blob no longer. Its bytes stay for whoever else needs them.

        Raises:
            Refused: it is not here, or a manifest of the repository points at it.
        """
        repository.blob(digest)
        for facts in repository.content().facts.values():
            if any(blob.digest == digest for blob in facts.blobs):
                raise Refused(
                    405, "DENIED", f"{facts.descriptor.digest} points at this blob; delete the manifest first"
                )
        if not self._shown.links.remove_blob(repository.name.name, digest):
            raise blob_unknown(digest)

    # manifests

    def put_manifest(self, repository: Repository, text: str, media_type: str, raw: bytes) -> DocumentFacts:
        """Stores a manifest or index under a tag or its digest; returns what it says.

        Raises:
            Refused: it breaks its specification, its digest is another, or something that it points at is not here.
        """
        tag, digest = reference_in_path(text)
        facts = _checked(raw, media_type, digest)
        with self._inventory.exclusive():
            content = repository.content()
            self._check_complete(facts, content)
            self._inventory.put(facts.descriptor, io.BytesIO(raw))
            name = repository.name.name
            self._shown.links.add_manifest(name, facts.descriptor)
            if tag:
                self._tag(repository, tag, facts.descriptor)
                self._inventory.forget(name, [facts.descriptor.digest, *(each.digest for each in facts.documents)])
            elif not self._is_below_a_tag(repository, facts.descriptor.digest):
                self._inventory.keep(name, facts.descriptor)
        self._reporter.message(f"{repository.name.path}{f':{tag}' if tag else ''} is now {facts.descriptor.digest}")
        return facts

    def _tag(self, repository: Repository, tag: str, descriptor: Descriptor) -> None:
        *aliases, target = repository.name.references(tag)
        known = {reference for reference, _ in self._inventory.roots()}
        for reference in (target, *(alias for alias in aliases if alias in known)):
            self._inventory.tag(reference, descriptor)

    def _is_below_a_tag(self, repository: Repository, digest: Digest) -> bool:
        waiting = list(repository.tags().values())
        seen: set[Digest] = set()
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest == digest:
                return True
            facts = self._shown.documents.facts(descriptor) if descriptor.digest not in seen else None
            seen.add(descriptor.digest)
            waiting += facts.documents if facts is not None else ()
        return False

    def _check_complete(self, facts: DocumentFacts, content: Content) -> None:
        """Raises Refused unless everything that the document points at is in the repository, of the size it says."""
        missing: list[Fault] = []
        for descriptor in (*facts.blobs, *facts.documents):
            found = content.manifests if is_document_type(descriptor.media_type) else content.blobs
            # A manifest may be a layer of an artifact, which is a blob, and a blob an entry of an old cache's index.
            here = found.get(descriptor.digest) or content.blobs.get(descriptor.digest)
            if here is not None and here.size != descriptor.size:
                raise Refused(
                    400,
                    "SIZE_INVALID",
                    f"{descriptor.digest} has {here.size} bytes, the manifest says {descriptor.size}",
                    detail={"digest": descriptor.digest},
                )
            if here is not None and self._inventory.available(here):
                continue
            if not any(word in descriptor.media_type for word in _FOREIGN):
                what = "manifest" if descriptor in facts.documents else "blob"
                message = f"this repository has no {what} {descriptor.digest}"
                missing.append(Fault("MANIFEST_BLOB_UNKNOWN", message, {"digest": descriptor.digest}))
        if missing:
            first, *others = missing
            raise Refused(404, first.code, first.message, detail=first.detail, others=others)

    def delete_manifest(self, repository: Repository, text: str) -> None:
        """Takes a tag away, or a manifest with all its tags in this repository.

        Raises:
            Refused: it is not here, or an index of the repository holds it.
        """
        tag, digest = reference_in_path(text)
        if digest is None:
            self._delete_tag(repository, tag)
            return
        content = repository.content()
        if digest not in content.manifests:
            raise manifest_unknown(text)
        for facts in content.facts.values():
            if any(entry.digest == digest for entry in facts.documents):
                raise Refused(405, "DENIED", f"the index {facts.descriptor.digest} has it; delete that first")
        for reference, root in list(self._inventory.roots()):
            if reference.name in repository.name.names and root.digest == digest:
                self._inventory.untag(reference)
        self._inventory.forget(repository.name.name, [digest])
        self._shown.links.remove_manifest(repository.name.name, digest)
        self._keep_blobs(repository, content, digest)
        self._reporter.message(f"{repository.name.path}@{digest} is deleted")

    def _keep_blobs(self, repository: Repository, content: Content, digest: Digest) -> None:
        """What a deleted manifest pointed at stays in its repository until it is deleted too, or the server ends."""
        for blob in content.facts[digest].blobs if digest in content.facts else ():
            self._shown.links.add_blob(repository.name.name, Descriptor(blob.media_type, blob.digest, blob.size))

    def _delete_tag(self, repository: Repository, tag: str) -> None:
        root = repository.tags().get(tag)
        removed = [reference for reference in repository.name.references(tag) if self._inventory.untag(reference)]
        if not removed:
            raise manifest_unknown(tag)
        if root is not None:
            self._shown.links.add_manifest(repository.name.name, Descriptor(root.media_type, root.digest, root.size))
        self._reporter.message(f"{repository.name.path}:{tag} is deleted")


def _checked(raw: bytes, media_type: str, digest: Digest | None) -> DocumentFacts:
    """What the document says, if it keeps to the specification and to its digest."""
    if not is_document_type(media_type):
        raise Refused(
            400,
            "MANIFEST_INVALID",
            f'Content-Type is "{media_type[:200]}", which is not a manifest or index that is known here',
            detail={"known": f"{media_types.MANIFEST} {media_types.INDEX} and docker's"},
        )
    algorithm = digest.partition(":")[0] if digest else "sha256"
    found = Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")
    if digest not in (None, found):
        raise Refused(
            400, "DIGEST_INVALID", f"the manifest has the digest {found}, not {digest}", detail={"digest": digest or ""}
        )
    try:
        facts = document_facts(raw, Descriptor(media_type, found, len(raw)))
    except InvalidDocument as error:
        raise Refused(400, "MANIFEST_INVALID", error.message, detail={"problem": error.message[:500]}) from None
    for descriptor in (*facts.blobs, *facts.documents):
        _check_embedded(descriptor)
    return facts


def _check_embedded(descriptor: Descriptor) -> None:
    """Raises Refused where a descriptor's `data` is not the content that it describes."""
    if descriptor.data is None:
        return
    algorithm = descriptor.digest.partition(":")[0]
    if len(descriptor.data) != descriptor.size or (
        f"{algorithm}:{hashlib.new(algorithm, descriptor.data).hexdigest()}" != descriptor.digest
    ):
        raise Refused(
            400,
            "MANIFEST_INVALID",
            f'the "data" of {descriptor.digest} is not its content',
            detail={"digest": descriptor.digest},
        )
