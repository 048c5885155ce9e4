"""One repository of a registry: a source and a sink of content, with names for some of it.

Reads ask the endpoints of the configuration in order (mirrors, then the registry); writes go to the registry alone.
Documents are at most 4 MiB and are checked before they are returned; blobs are streams that are verified at their
end. Nothing is held in memory whole but documents. May be used from several threads.

Most commands ask for little: what a method alone needs is imported there.

Spec: distribution-spec, "Pulling", "Pushing", "Content Discovery", "Content Management".
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from pyoci.content.protocols import ContentSource
from pyoci.content.successors import is_document, may_have_subject
from pyoci.content.verify import VerifyingReader, read_document
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import ContentError, ContentNotFound, DigestMismatch, InvalidDocument, UsageError
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference
from pyoci.registry.exchange import Exchange
from pyoci.registry.hosts import Endpoint
from pyoci.registry.leftovers import NOTHING_LEFT, Leftovers
from pyoci.registry.manifests import ACCEPTED_TYPES, answered_descriptor, digest_in, verified_manifest
from pyoci.registry.scopes import repository_scope
from pyoci.registry.session import Request, Session
from pyoci.registry.spare_uploads import SpareUploads
from pyoci.registry.transport import Answer

if TYPE_CHECKING:
    from pyoci.content.referrers import Referrer
    from pyoci.registry.blob_sink import BlobSink, MountFrom
    from pyoci.registry.naming import NamedPush
    from pyoci.registry.referrers import FallbackIndexes

__all__ = ["Repository"]

_OK = frozenset({200})
_STORED = frozenset({200, 201, 202})
_ACCEPT = {"Accept": ", ".join(ACCEPTED_TYPES)}
_BUFFER = 1 << 16


class Repository:
    """The repository of one reference. Made by `RegistryClient.repository`."""

    def __init__(
        self,
        session: Session,
        reference: Reference,
        spares: SpareUploads,
        *,
        mount_from: MountFrom | None = None,
        leftovers: Leftovers = NOTHING_LEFT,
        direct: bool = False,
    ) -> None:
        self.reference = reference
        self._session = session
        self._exchange = Exchange(session, reference, writing=mount_from is not None, direct=direct)
        self._spares = spares
        self._mount_from = mount_from
        self._leftovers = leftovers
        self._lock = threading.Lock()
        self._made_blobs: BlobSink | None = None
        self._made_fallbacks: FallbackIndexes | None = None

    def resolve(self, reference: str | None = None) -> Descriptor:
        """What a tag or digest means now; without one, the digest or tag of the repository's own reference.

        One HEAD where the registry answers it fully, else the manifest is read.

        Raises:
            ContentNotFound: no such manifest.
            RegistryError, DigestMismatch, InvalidDocument: the registry does not answer, or with what cannot be right.
        """
        name = reference or self._own()
        wanted, what = digest_in(name), self._exchange.spelled(name)

        def ask(endpoint: Endpoint) -> Descriptor | None:
            answer = self._session.send(self._manifest("HEAD", endpoint, name, f"find {what}"))
            answer.finish()
            return answered_descriptor(answer, wanted, what)

        return self._exchange.first(ask) or self.fetch_manifest(name)[1]

    def fetch_manifest(self, reference: str | None = None) -> tuple[bytes, Descriptor]:
        """The bytes of a manifest or index and their descriptor; `reference` as in `resolve`.

        Raises:
            ContentNotFound: no such manifest.
            DigestMismatch, InvalidDocument: it is not what was asked for, too large, or contradicts its media type.
            RegistryError: the registry does not answer.
        """
        name = reference or self._own()
        wanted, what = digest_in(name), self._exchange.spelled(name)

        def ask(endpoint: Endpoint) -> tuple[bytes, Descriptor]:
            raw, answer = self._exchange.read_small(self._manifest("GET", endpoint, name, f"pull {what}"))
            return raw, verified_manifest(raw, answer, wanted, what)

        return self._exchange.first(ask)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has the content: one HEAD. To bring it in from another repository, see `mount`."""
        kind = "manifests" if is_document(descriptor) else "blobs"
        purpose = f"look for {self._exchange.spelled(descriptor.digest)}"

        def ask(endpoint: Endpoint) -> Answer:
            headers = _ACCEPT if kind == "manifests" else {}
            path = f"{kind}/{descriptor.digest}"
            answer = self._session.send(self._exchange.request("HEAD", endpoint, path, purpose, _OK, headers=headers))
            answer.finish()
            return answer

        try:
            length = self._exchange.first(ask).length()
        except ContentNotFound:
            return False
        if length is not None and length != descriptor.size:
            raise DigestMismatch(
                f"{self._exchange.spelled(descriptor.digest)} has {length} bytes instead of {descriptor.size}",
                hint="the manifest is wrong, or the registry's copy is damaged",
            )
        return True

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """A stream of a blob or document, verified at its end; a broken connection is taken up again by itself, and so
        is what an earlier command has left of a blob.

        A descriptor's `urls` are not followed: they lead to hosts that nobody chose to trust.

        Raises:
            ContentNotFound: no endpoint has it.
            RegistryError: the registry does not answer.
        """
        if is_document(descriptor):
            raw, found = self.fetch_manifest(descriptor.digest)
            if found.media_type != descriptor.media_type:
                raise InvalidDocument(
                    f'{descriptor.digest} is "{found.media_type}" but was announced as "{descriptor.media_type}"'
                )
            return io.BufferedReader(VerifyingReader(io.BytesIO(raw), descriptor))
        from pyoci.registry.download import open_blob

        left = self._leftovers.take_partial(descriptor)
        return io.BufferedReader(open_blob(self._exchange, descriptor, left), _BUFFER)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Sends a blob or a document. Idempotent; there whole, or not at all.

        A stream that can be rewound (`seekable`) is sent again after a failure, from where the registry says it broke
        off, and so is what an earlier command has sent of a blob.

        Raises:
            DigestMismatch: the stream is not what the descriptor says.
            RegistryError: after all attempts.
        """
        self._exchange.begin_writing()
        if is_document(descriptor):
            self.put_manifest(
                read_document(stream, descriptor, limits=self._exchange.limits),
                descriptor.media_type,
                descriptor.digest,
            )
            return
        self._blobs().put(descriptor, stream)

    def mount(self, descriptor: Descriptor) -> bool:
        """Whether a blob was brought in from another repository of this registry, by what `mount_from` names.

        An upload that the registry opens instead is kept for `put`.

        Raises:
            RegistryError: the registry does not answer. A refusal to mount is not an error.
        """
        self._exchange.begin_writing()
        if is_document(descriptor):
            return False
        return self._blobs().mount(descriptor)

    def put_manifest(self, raw: bytes, media_type: str, reference: str) -> None:
        """Stores a manifest or index under a tag or its digest; what it points at must be there already.

        One with a `subject` is added to the subject's referrers, by the tag schema where the registry does not do it.

        Raises:
            RegistryError: refused.
            DigestMismatch: the registry stored something else.
        """
        self._put_if(raw, media_type, reference, {})

    def _put_if(self, raw: bytes, media_type: str, reference: str, condition: Mapping[str, str]) -> None:
        self._exchange.begin_writing()
        what = self._exchange.spelled(reference)
        request = self._exchange.request(
            "PUT",
            self._exchange.writer(),
            f"manifests/{reference}",
            f"push {what}",
            _STORED,
            headers={"Content-Type": media_type, **condition},
            body=raw,
        )
        answer = self._session.send(request)
        answer.finish()
        stored, sent = answer.header("Docker-Content-Digest"), sha256_digest(raw)
        if stored.startswith("sha256:") and stored != sent:
            raise DigestMismatch(
                f"{what}: sent {sent}, the registry stored {stored[:100]}",
                hint="the registry, or a proxy before it, changed the content",
            )
        if may_have_subject(raw):
            self._fallbacks().after_push(raw, media_type, answer)

    def push(
        self,
        root: Descriptor,
        source: ContentSource,
        *,
        jobs: int = 4,
        sent: Callable[[], Container[Digest]] = tuple,
        is_new: bool = False,
    ) -> bool:
        """Copies `root` and all below it here, mounting what can be mounted, and names it by the reference's tag.
        Returns whether there was anything to do.

        What is here already is not sent again, so that a push which failed goes on from where it was. Where the tag
        means `root` already, one HEAD is all that is sent; where only the root is here, no blob is asked for. If there
        is anything to do, `sent` is asked for blobs that were brought here before. `is_new` says that something of it
        was missing here a moment ago: then nobody asks whether the whole is here.

        Raises:
            RegistryError, DigestMismatch, ContentNotFound, Cancelled: the tag still means what it meant before.
        """
        self._exchange.begin_writing()
        if not is_new and self.is_pushed(root, source):
            self._session.reporter.transfer_started(root.digest, "push", root.size)
            self._session.reporter.transfer_done(root.digest, "exists")
            return False
        from pyoci.registry.naming import NamedPush

        push = NamedPush(self, root, self.reference.tag or root.digest, limits=self._exchange.limits, is_new=is_new)
        self._copy(push, source, jobs=jobs, there=sent())
        return True

    def push_referrers(self, referrers: Iterable[Referrer], source: ContentSource, *, jobs: int = 4) -> int:
        """Copies what refers to something here, each with all below it and into its subject's list; how many were
        missing. The reference's tag is left alone.

        Raises:
            RegistryError, DigestMismatch, ContentNotFound, Cancelled: those that come before are here and listed.
        """
        from pyoci.registry.naming import NamedPush

        self._exchange.begin_writing()
        listed: dict[Digest, set[Digest]] = {}
        missing = 0
        for referrer in referrers:
            subject, descriptor = referrer.subject, referrer.descriptor
            if subject not in listed:
                listed[subject] = {entry.digest for entry in self.referrers(subject)}
            if descriptor.digest not in listed[subject] or not self.has(descriptor):
                push = NamedPush(self, descriptor, descriptor.digest, limits=self._exchange.limits)
                self._copy(push, source, jobs=jobs)
                missing += 1
        return missing

    def _copy(
        self, push: NamedPush, source: ContentSource, *, jobs: int, there: Container[Digest] = frozenset()
    ) -> None:
        session = self._session
        push.run(source, jobs=jobs, there=there, reporter=session.reporter, cancelled=session.cancelled)

    def is_pushed(self, root: Descriptor, source: ContentSource) -> bool:
        """Whether a push has nothing to do: the tag means `root`, and no list of referrers can lack it.

        Raises:
            RegistryError: the registry does not say.
        """
        self._exchange.begin_writing()
        if self.reference.tag is None:
            return False
        try:
            if self.resolve(self.reference.tag).digest != root.digest:
                return False
        except ContentError:
            return False  # there is no such tag, or it means what nobody can use any more
        raw = read_document(source.open(root), root, limits=self._exchange.limits)
        if not may_have_subject(raw):
            return True
        from pyoci.content.referrers import referrer_entry

        return referrer_entry(raw, root) is None

    def check_push(self) -> None:
        """Proves that this user may push here: opens an upload. What is sent next goes into it, if that is small.

        Raises:
            Unauthorized: credentials are missing or insufficient.
            RegistryError: the registry does not answer or does not take pushes.
        """
        self._exchange.begin_writing()
        self._blobs().check(self.reference.familiar_name)

    def delete(self, reference: str) -> None:
        """Deletes a tag, or a manifest by its digest.

        Raises:
            ContentNotFound: no such manifest.
            RegistryError: refused; many registries do not allow deletion.
        """
        endpoint = self._exchange.writer()
        request = self._exchange.request(
            "DELETE",
            endpoint,
            f"manifests/{reference}",
            f"delete {self._exchange.spelled(reference)}",
            frozenset({200, 202, 204}),
            extra_scopes=(repository_scope(endpoint.repository, "delete"),),
        )
        self._exchange.found(lambda: self._session.send(request).finish())

    def forget_referrer(self, subject: Digest, referrer: Digest) -> None:
        """Takes a manifest that was deleted out of the list of what refers to `subject`, where that list is kept under
        a tag.

        Raises:
            RegistryError, InvalidDocument: the list cannot be read or written.
        """
        self._exchange.begin_writing()
        self._fallbacks().after_delete(subject, referrer)

    def tags(self) -> Iterator[str]:
        """The repository's tags in the registry's order, read page by page.

        Raises:
            ContentNotFound: no such repository.
            RegistryError, InvalidDocument: the answer cannot be used.
        """
        from pyoci.registry.listing import list_tags

        return list_tags(self._exchange)

    def referrers(self, digest: Digest, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Descriptors of the manifests whose `subject` is `digest`; none is no error.

        Raises:
            RegistryError, InvalidDocument: the answer cannot be used.
        """
        from pyoci.registry.referrers import list_referrers

        return list_referrers(self._exchange, digest, artifact_type)

    def _blobs(self) -> BlobSink:
        """Whatever sends blobs here: the same for all threads."""
        from pyoci.registry.blob_sink import BlobSink

        with self._lock:
            if self._made_blobs is None:
                self._made_blobs = BlobSink(
                    self._session, self._exchange, self._spares, mount_from=self._mount_from, leftovers=self._leftovers
                )
            return self._made_blobs

    def _fallbacks(self) -> FallbackIndexes:
        """Whatever keeps lists of referrers under tags: the same for all threads."""
        from pyoci.registry.referrers import FallbackIndexes

        with self._lock:
            if self._made_fallbacks is None:
                self._made_fallbacks = FallbackIndexes(self._exchange, self._put_if, self.has)
            return self._made_fallbacks

    def _own(self) -> str:
        name = self.reference.digest or self.reference.tag
        if name is None:
            raise UsageError(f"{self.reference} has neither tag nor digest")
        return name

    def _manifest(self, method: str, endpoint: Endpoint, name: str, purpose: str) -> Request:
        return self._exchange.request(method, endpoint, f"manifests/{name}", purpose, _OK, headers=_ACCEPT)
