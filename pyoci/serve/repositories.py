"""What a repository shows: its tags, the manifests and blobs below them, and what clients put there themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from pyoci.digest import Digest, parse_digest
from pyoci.errors import InvalidDocument
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference
from pyoci.serve.documents import DocumentFacts, Documents
from pyoci.serve.inventory import Inventory
from pyoci.serve.names import RepositoryName, parse_tag, path_of, read_name
from pyoci.serve.refusals import Refused, blob_unknown, manifest_unknown
from pyoci.values import dataclass, field

__all__ = ["BLOB_TYPE", "Content", "Links", "Repositories", "Repository", "digest_in_path", "reference_in_path"]

BLOB_TYPE = "application/octet-stream"
"""What a blob is called of which nothing but its bytes is known."""


def digest_in_path(text: str) -> Digest:
    """The digest in a URL.

    Raises:
        Refused: it is none that can be verified.
    """
    try:
        return parse_digest(text)
    except InvalidDocument as error:
        raise Refused(400, "DIGEST_INVALID", error.message, detail={"digest": text[:160]}) from None


def reference_in_path(text: str) -> tuple[str, Digest | None]:
    """The tag, or else the empty string and the digest, where a URL has either.

    Raises:
        Refused: it is neither.
    """
    return ("", digest_in_path(text)) if ":" in text else (parse_tag(text), None)


@dataclass(slots=True)
class _Linked:
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)


class Links:
    """What clients sent or mounted to each repository since the server started, whether something points at it or not.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, _Linked] = {}

    def names(self) -> list[str]:
        with self._lock:
            return [name for name, linked in self._of.items() if linked.blobs or linked.manifests]

    def blob(self, name: str, digest: Digest) -> Descriptor | None:
        with self._lock:
            return self._of[name].blobs.get(digest) if name in self._of else None

    def blobs(self, name: str) -> list[Descriptor]:
        with self._lock:
            return list(self._of[name].blobs.values()) if name in self._of else []

    def manifests(self, name: str) -> list[Descriptor]:
        with self._lock:
            return list(self._of[name].manifests.values()) if name in self._of else []

    def add_blob(self, name: str, descriptor: Descriptor) -> None:
        with self._lock:
            self._of.setdefault(name, _Linked()).blobs[descriptor.digest] = descriptor

    def add_manifest(self, name: str, descriptor: Descriptor) -> None:
        with self._lock:
            self._of.setdefault(name, _Linked()).manifests[descriptor.digest] = descriptor

    def remove_blob(self, name: str, digest: Digest) -> bool:
        with self._lock:
            return name in self._of and self._of[name].blobs.pop(digest, None) is not None

    def remove_manifest(self, name: str, digest: Digest) -> None:
        with self._lock:
            if name in self._of:
                self._of[name].manifests.pop(digest, None)


@dataclass(frozen=True, slots=True)
class Content:
    """All of one repository at one moment."""

    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)
    facts: dict[Digest, DocumentFacts] = field(default_factory=dict)
    """Of those manifests whose bytes are here."""


class Repositories:
    """All that one server shows. May be used from several threads at once."""

    def __init__(self, inventory: Inventory, *, addresses: tuple[str, ...]) -> None:
        self.inventory = inventory
        self.documents = Documents(inventory)
        self.links = Links()
        self.addresses = addresses

    def repository(self, path: str, *, host: str = "", namespace: str = "") -> Repository:
        """The repository of that name, which may be empty; `host` and `namespace` as for `read_name`.

        Raises:
            Refused: it is no name.
        """
        return Repository(read_name(path, addresses=self.addresses, host=host, namespace=namespace), self)

    def paths(self) -> set[str]:
        """Names under which something can be had."""
        found = {path_of(reference, addresses=self.addresses) for reference, _ in self.inventory.roots()}
        for name in self.links.names():
            registry, _, repository = name.partition("/")
            found.add(path_of(Reference(registry, repository), addresses=self.addresses))
        return {path for path in found if path is not None}

    def unnamed(self) -> list[Reference]:
        """Images that only clients find which reach this server by the registry's name: it cannot be a repository's."""
        roots = self.inventory.roots()
        return [reference for reference, _ in roots if path_of(reference, addresses=self.addresses) is None]

    def all(self) -> Iterator[Repository]:
        """Every repository that shows something."""
        return map(self.repository, sorted(self.paths()))


class Repository:
    """One repository; looks again whenever it is asked."""

    def __init__(self, name: RepositoryName, shown: Repositories) -> None:
        self.name = name
        self._shown = shown
        self._inventory = shown.inventory

    def tags(self) -> dict[str, Descriptor]:
        """What each tag stands for."""
        found: dict[str, tuple[int, Descriptor]] = {}
        names = self.name.names
        for reference, root in self._inventory.roots():
            if reference.name in names and reference.tag:
                rank = names.index(reference.name)
                if reference.tag not in found or rank < found[reference.tag][0]:
                    found[reference.tag] = (rank, root)
        return {tag: root for tag, (_, root) in found.items()}

    def exists(self) -> bool:
        """Whether there is anything."""
        return bool(self.tags()) or self.name.name in self._shown.links.names() or bool(self._kept())

    def _kept(self) -> Sequence[Descriptor]:
        return self._inventory.kept(self.name.name)

    def walk(self) -> Iterator[tuple[Descriptor, DocumentFacts | None]]:
        """Every manifest once, roots first; with its facts where its bytes are here. Fetches nothing."""
        waiting = [*self.tags().values(), *self._shown.links.manifests(self.name.name), *self._kept()]
        seen: set[Digest] = set()
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in seen:
                continue
            seen.add(descriptor.digest)
            facts = self._shown.documents.facts(descriptor)
            yield descriptor, facts
            if facts is not None:
                waiting += facts.documents

    def content(self) -> Content:
        """Everything that can be had here."""
        content = Content()
        for descriptor, facts in self.walk():
            content.manifests[descriptor.digest] = descriptor
            if facts is not None:
                content.facts[descriptor.digest] = facts
                content.blobs.update((blob.digest, blob) for blob in facts.blobs)
        content.blobs.update((blob.digest, blob) for blob in self._shown.links.blobs(self.name.name))
        return content

    def blob(self, digest: Digest) -> Descriptor:
        """The blob.

        Raises:
            Refused: it is not here, or nowhere to be had.
        """
        found = self._shown.links.blob(self.name.name, digest) or self._blob_below(digest)
        if found is None or not self._inventory.available(found):
            raise blob_unknown(digest)
        return found

    def _blob_below(self, digest: Digest) -> Descriptor | None:
        for _, facts in self.walk():
            for blob in facts.blobs if facts is not None else ():
                if blob.digest == digest:
                    return blob
        return None

    def manifest(self, text: str) -> Descriptor:
        """The manifest of a tag or digest.

        Raises:
            Refused: it is not here, or nowhere to be had.
        """
        tag, digest = reference_in_path(text)
        found = self.tags().get(tag) if tag else self._by_digest(digest)
        if found is None or not self._inventory.available(found):
            if not self.exists():
                raise Refused(
                    404, "NAME_UNKNOWN", f'there is no repository "{self.name.path}"', detail={"name": self.name.path}
                )
            raise manifest_unknown(text)
        return found

    def _by_digest(self, digest: Digest | None) -> Descriptor | None:
        return next((descriptor for descriptor, _ in self.walk() if descriptor.digest == digest), None)

    def referrers(self, digest: Digest) -> list[DocumentFacts]:
        """The manifests whose subject is `digest`, in the order of their digests."""
        found = [facts for _, facts in self.walk() if facts is not None and facts.subject == digest]
        return sorted(found, key=lambda facts: facts.descriptor.digest)
