"""A server on a free port of loopback, over a store in a temporary directory, and a client that says what it likes."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyoci.api.options import Options
from pyoci.api.serving import Served, serve
from pyoci.content import copy_graph
from pyoci.image import Descriptor, Manifest, encode_manifest, media_types
from pyoci.reference import parse_reference
from pyoci.serve.uploads import Limits
from pyoci.store import Store
from tests.registry_world import Recorder, SampleImage, sample_image
from tests.unit.api.world import options_in


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """Of the errors in the body."""
        return [error["code"] for error in self.json()["errors"]]

    def header(self, name: str) -> str:
        value = self.headers.get(name)
        assert value is not None, f"no {name} in {self.headers.items()}"
        return str(value)


@dataclass(slots=True)
class World:
    """One server and the directory of its store."""

    directory: Path
    served: Served
    heard: Recorder = field(default_factory=Recorder)

    @property
    def address(self) -> str:
        return self.served.address

    @property
    def uploading(self) -> list[Path]:
        """Files of uploads that have begun."""
        return list((self.directory / "store" / "tmp").glob("upload.*"))

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            found = connection.getresponse()
            return Answer(found.status, found.headers, found.read())

    def begin(self, name: str = "team/app") -> str:
        """Where a new upload is."""
        answer = self("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202
        return answer.header("Location")

    def push_blob(self, data: bytes, name: str = "team/app") -> str:
        digest = digest_of(data)
        answer = self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
        assert answer.status == 201, answer.body
        return digest

    def push_manifest(
        self, raw: bytes, reference: str, name: str = "team/app", media_type: str = media_types.MANIFEST
    ) -> Answer:
        return self("PUT", f"/v2/{name}/manifests/{reference}", raw, {"Content-Type": media_type})

    def push(self, image: SampleImage, tag: str = "1", name: str = "team/app") -> Answer:
        for blob in (image.config, *image.layers):
            self.push_blob(image.content.open(blob).read(), name)
        answer = self.push_manifest(image.manifest, tag, name)
        assert answer.status == 201, answer.body
        return answer

    def artifact(self, subject: Descriptor | None, seed: int = 0, *, kind: str = "application/vnd.example") -> bytes:
        """A manifest that refers to another, whose blobs are pushed."""
        note = f"note {seed}".encode()
        self.push_blob(b"{}")
        self.push_blob(note)
        manifest = Manifest(
            Descriptor(media_types.EMPTY, digest_as(b"{}"), 2),
            (Descriptor("text/plain", digest_as(note), len(note)),),
            {"number": str(seed)},
            artifact_type=kind,
            subject=subject,
        )
        return encode_manifest(manifest).raw


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_as(data: bytes) -> Any:
    return digest_of(data)


def fill(directory: Path, name: str, image: SampleImage | None = None) -> SampleImage:
    """Puts an image into the store below the directory."""
    image = image or sample_image(100, 200)
    with Store(directory / "store") as store:
        copy_graph(image.root, image.content, store)
        store.tags.set(parse_reference(name), image.root)
    return image


def put_document(directory: Path, name: str, descriptor: Descriptor, raw: bytes) -> None:
    with Store(directory / "store") as store:
        store.put(descriptor, io.BytesIO(raw))
        store.tags.set(parse_reference(name), descriptor)


@contextlib.contextmanager
def serving(
    directory: Path, *, limits: Limits | None = None, source: str = "", offline: bool = True, **settings: Any
) -> Iterator[World]:
    """A server over `directory/store`, which takes pushes and deletions unless told otherwise."""
    settings = {"write": not source, "delete": not source, "listen": "127.0.0.1:0", **settings}
    heard = Recorder()
    options: Options = replace(options_in(directory, heard), offline=offline)
    with serve(source, limits=limits, options=options, **settings) as served:
        yield World(directory, served, heard)
