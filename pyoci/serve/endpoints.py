"""The endpoints of distribution-spec, one method each: what is asked for, in HTTP's words, and the answer.

Plain methods run in a thread; those that take a body are coroutines and leave all work on files to threads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pyoci.content.limits import ContentLimits
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound
from pyoci.image import Index, encode_index, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.serve.blob_answer import BlobAnswer
from pyoci.serve.bodies import receive, receive_small
from pyoci.serve.negotiation import accepts, matches_etag
from pyoci.serve.paging import next_link, page_of
from pyoci.serve.pushes import Pushes
from pyoci.serve.ranges import Span, chunk_span, content_range, wanted_span
from pyoci.serve.refusals import Refused, manifest_unknown
from pyoci.serve.repositories import BLOB_TYPE, Repositories, Repository, digest_in_path
from pyoci.serve.uploads import Limits, Upload, Uploads

__all__ = ["PullEndpoints", "PushEndpoints"]

_REFERRERS_LIMIT = 3 << 20
"""Bytes of one page of referrers: an index, so no larger than a manifest may be."""


def _json(value: object, headers: Mapping[str, str] | None = None, *, media_type: str = "application/json") -> Response:
    return Response(json.dumps(value).encode(), headers=headers, media_type=media_type)


def _host(request: Request) -> str:
    """How the client reached this server, and so what names of images begin with that it types."""
    return request.headers.get("host", "")


def _digest_headers(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Vary": "Accept"}


class PullEndpoints:
    """What every server answers."""

    def __init__(self, shown: Repositories, limits: Limits) -> None:
        self._shown = shown
        self._limits = limits
        documents = ContentLimits(document_bytes=limits.manifest_bytes)
        self._document_limits = lambda: documents

    def _repository(self, request: Request) -> Repository:
        namespace = request.query_params.get("ns", "")
        return self._shown.repository(request.path_params["name"], host=_host(request), namespace=namespace)

    def version(self, request: Request) -> Response:
        """`GET /v2/`: yes, this is a registry, and you may come in."""
        return _json({})

    def catalog(self, request: Request) -> Response:
        """`GET /v2/_catalog`: names of repositories. Not in the specification; docker's registry has it."""
        page = page_of(self._shown.paths(), request.url.path, request.query_params)
        return _json({"repositories": list(page.entries)}, {"Link": page.link} if page.link else {})

    def tags(self, request: Request) -> Response:
        """`GET /v2/NAME/tags/list`."""
        repository = self._repository(request)
        tags = repository.tags()
        if not tags and not repository.exists():
            path = repository.name.path
            raise Refused(404, "NAME_UNKNOWN", f'there is no repository "{path}"', detail={"name": path})
        page = page_of(tags, request.url.path, request.query_params)
        body = {"name": repository.name.path, "tags": list(page.entries)}
        return _json(body, {"Link": page.link} if page.link else {})

    def manifest(self, request: Request) -> Response:
        """`GET` and `HEAD /v2/NAME/manifests/REFERENCE`."""
        found = self._repository(request).manifest(request.path_params["reference"])
        accepted = request.headers.getlist("accept")
        if not accepts(accepted, found.media_type):
            refused = manifest_unknown(request.path_params["reference"])
            message = f"it is a {found.media_type}, which the client does not accept"
            raise Refused(404, "MANIFEST_UNKNOWN", message, detail=refused.faults[0].detail)
        headers = _digest_headers(found.digest)
        if matches_etag(request.headers.get("if-none-match", ""), found.digest):
            return Response(status_code=304, headers=headers)
        try:
            stream = self._shown.inventory.open(found)
        except ContentNotFound:  # it was to be fetched, and is not there any more
            raise manifest_unknown(request.path_params["reference"]) from None
        raw = read_document(stream, found, limits=self._document_limits)
        return Response(raw, headers=headers, media_type=found.media_type)

    def blob(self, request: Request) -> Response:
        """`GET` and `HEAD /v2/NAME/blobs/DIGEST`, whole or a range."""
        found = self._repository(request).blob(digest_in_path(request.path_params["digest"]))
        headers = {**_digest_headers(found.digest), "Accept-Ranges": "bytes", "Content-Type": BLOB_TYPE}
        if matches_etag(request.headers.get("if-none-match", ""), found.digest):
            return Response(status_code=304, headers=headers)
        span, status = Span(0, found.size), 200
        condition = request.headers.get("if-range", "")
        if "range" in request.headers and (not condition or matches_etag(condition, found.digest)):
            wanted = wanted_span(request.headers["range"], found.size)
            if wanted is not None:
                span, status = wanted, 206
                headers["Content-Range"] = content_range(wanted, found.size)
        return BlobAnswer(
            partial(self._shown.inventory.open, found),
            span,
            status=status,
            headers=headers,
            stall_seconds=self._limits.stall_seconds,
        )

    def referrers(self, request: Request) -> Response:
        """`GET /v2/NAME/referrers/DIGEST`: an index of what refers to a manifest, which need not exist."""
        repository = self._repository(request)
        digest = digest_in_path(request.path_params["digest"])
        wanted, last = request.query_params.get("artifactType", ""), request.query_params.get("last", "")
        entries: list[Descriptor] = []
        size = 0
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        for facts in repository.referrers(digest):
            if facts.descriptor.digest <= last or (wanted and facts.artifact_type != wanted):
                continue
            size += 400 + sum(2 * len(key) + 2 * len(value) for key, value in facts.annotations.items())
            if entries and size > _REFERRERS_LIMIT:
                query = {"artifactType": wanted} if wanted else {}
                headers["Link"] = next_link(request.url.path, {**query, "last": entries[-1].digest})
                break
            one = facts.descriptor
            entries.append(
                Descriptor(one.media_type, one.digest, one.size, facts.annotations, artifact_type=facts.artifact_type)
            )
        return Response(encode_index(Index(tuple(entries))).raw, headers=headers, media_type=media_types.INDEX)


class PushEndpoints:
    """What a server answers that takes what clients send."""

    def __init__(self, shown: Repositories, pushes: Pushes, uploads: Uploads, limits: Limits) -> None:
        self._shown = shown
        self._pushes = pushes
        self._uploads = uploads
        self._limits = limits

    def _repository(self, request: Request) -> Repository:
        return self._shown.repository(request.path_params["name"], host=_host(request))

    def _upload(self, request: Request) -> tuple[Repository, Upload]:
        repository = self._repository(request)
        return repository, self._uploads.find(repository.name.name, request.path_params["upload"])

    def _progress(self, repository: Repository, upload: Upload, status: int) -> Response:
        location = f"/v2/{repository.name.path}/blobs/uploads/{upload.identity}"
        return Response(status_code=status, headers={"Location": location, **upload.headers()})

    # uploads

    async def begin(self, request: Request) -> Response:
        """`POST /v2/NAME/blobs/uploads/`: an upload, a mount, or with `digest` a whole blob at once."""
        repository = self._repository(request)
        query = request.query_params
        if "mount" in query:
            source = query.get("from", "")
            digest = await run_in_threadpool(
                self._pushes.mount, repository, query["mount"], source, host=_host(request)
            )
            if digest is not None:
                return _created(repository, "blobs", digest)
        wanted = digest_in_path(query["digest"]) if "digest" in query else None
        upload = await run_in_threadpool(self._uploads.begin, repository.name.name)
        if wanted is None:
            return self._progress(repository, upload, 202)
        try:
            turn = upload.begin()
            await receive(request, partial(upload.append, turn), stall_seconds=self._limits.stall_seconds)
            return await run_in_threadpool(self._finish, repository, upload, turn, wanted)
        finally:
            await run_in_threadpool(self._uploads.remove, upload)

    def status(self, request: Request) -> Response:
        """`GET /v2/NAME/blobs/uploads/ID`."""
        return self._progress(*self._upload(request), 204)

    def cancel(self, request: Request) -> Response:
        """`DELETE /v2/NAME/blobs/uploads/ID`."""
        _, upload = self._upload(request)
        self._uploads.remove(upload)
        return Response(status_code=204)

    async def chunk(self, request: Request) -> Response:
        """`PATCH /v2/NAME/blobs/uploads/ID`: the next bytes, which `Content-Range` may say the place of."""
        repository, upload = self._upload(request)
        await self._receive(request, repository, upload)
        return self._progress(repository, upload, 202)

    async def complete(self, request: Request) -> Response:
        """`PUT /v2/NAME/blobs/uploads/ID?digest=`: the last bytes, if any are left, and what all must come to."""
        repository, upload = self._upload(request)
        if "digest" not in request.query_params:
            raise Refused(400, "DIGEST_INVALID", "an upload is completed with ?digest=")
        wanted = digest_in_path(request.query_params["digest"])
        turn = await self._receive(request, repository, upload)
        return await run_in_threadpool(self._finish, repository, upload, turn, wanted)

    async def _receive(self, request: Request, repository: Repository, upload: Upload) -> int:
        """Takes a chunk, if it begins where the upload ends; returns the turn in which it was written."""
        header = request.headers.get("content-range")
        length = request.headers.get("content-length", "")
        span = chunk_span(header) if header is not None else None
        if span is not None and length.isdigit() and int(length[:20]) != span.size:
            message = f'Content-Length is {length[:20]}, Content-Range is "{header}"'
            raise Refused(400, "SIZE_INVALID", message)
        turn = upload.begin_at(span.start) if span is not None else upload.begin() if header is None else None
        if turn is None:
            message = f'the upload has {upload.size} bytes, so the next chunk does not begin as "{header}" says'
            place = self._progress(repository, upload, 416).headers["location"]
            raise Refused(416, "BLOB_UPLOAD_INVALID", message, headers={"Location": place, **upload.headers()})
        end = span.end if span is not None else None

        def take(data: bytes) -> None:
            if end is not None and upload.size + len(data) > end:
                raise Refused(400, "SIZE_INVALID", "the chunk is longer than its Content-Range")
            upload.append(turn, data)

        await receive(request, take, stall_seconds=self._limits.stall_seconds)
        if end is not None and upload.size != end:
            raise Refused(400, "SIZE_INVALID", "the chunk is shorter than its Content-Range", headers=upload.headers())
        return turn

    def _finish(self, repository: Repository, upload: Upload, turn: int, wanted: Digest) -> Response:
        try:
            path, descriptor = upload.finish(turn, wanted)
            try:
                self._pushes.add_blob(repository, path, descriptor)
            finally:
                path.unlink(missing_ok=True)
        except Refused as refused:
            if refused.status != 409:  # else another request has the upload now
                self._uploads.remove(upload)
            raise
        except BaseException:
            self._uploads.remove(upload)
            raise
        self._uploads.remove(upload)
        return _created(repository, "blobs", wanted)

    # manifests and deletion

    async def put_manifest(self, request: Request) -> Response:
        """`PUT /v2/NAME/manifests/REFERENCE`."""
        repository = self._repository(request)
        limits = self._limits
        raw = await receive_small(request, limits.manifest_bytes, stall_seconds=limits.stall_seconds)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        facts = await run_in_threadpool(
            self._pushes.put_manifest, repository, request.path_params["reference"], media_type, raw
        )
        headers = {"OCI-Subject": facts.subject} if facts.subject else {}
        return _created(repository, "manifests", facts.descriptor.digest, headers)

    def delete_manifest(self, request: Request) -> Response:
        """`DELETE /v2/NAME/manifests/REFERENCE`."""
        self._pushes.delete_manifest(self._repository(request), request.path_params["reference"])
        return Response(status_code=202)

    def delete_blob(self, request: Request) -> Response:
        """`DELETE /v2/NAME/blobs/DIGEST`."""
        self._pushes.delete_blob(self._repository(request), digest_in_path(request.path_params["digest"]))
        return Response(status_code=202)


def _created(repository: Repository, kind: str, digest: Digest, headers: Mapping[str, str] | None = None) -> Response:
    location = f"/v2/{repository.name.path}/{kind}/{digest}"
    merged = {"Location": location, "Docker-Content-Digest": digest, **(headers or {})}
    return Response(status_code=201, headers=merged)
