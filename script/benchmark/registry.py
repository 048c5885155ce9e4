"""Debian's docker-registry on the loopback interface, with a directory of its own; and what was pushed to it."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BASES", "NotThere", "Registry", "running_registry"]

START_SECONDS = 20.0
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
BASES = "bases"
"""The repositories below it are what jobs start from; all others are what they made."""


class NotThere(Exception):
    """What should have been pushed is not in the registry."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry: its address, its process and its storage."""

    address: str
    pid: int
    storage: Path

    def forget(self) -> None:
        """Takes out whatever is not part of a base, so that the next push finds nothing of itself."""
        root = self.storage / "docker/registry/v2"
        repositories = root / "repositories"
        for directory in repositories.iterdir():
            if directory.name != BASES:
                shutil.rmtree(directory)
        kept = {link.read_text().strip() for link in (repositories / BASES).rglob("link")}
        for blob in (root / "blobs/sha256").glob("*/*"):
            if f"sha256:{blob.name}" not in kept:
                shutil.rmtree(blob)

    def digest(self, repository: str, tag: str = "latest") -> str:
        """The digest that a tag means.

        Raises:
            NotThere: there is no such tag.
        """
        with self._open(repository, f"manifests/{tag}") as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def manifest(self, repository: str, tag: str = "latest") -> dict[str, Any]:
        """The manifest of an image; the first of an index."""
        with self._open(repository, f"manifests/{tag}") as answer:
            found: dict[str, Any] = json.load(answer)
        if "manifests" in found:
            return self.manifest(repository, found["manifests"][0]["digest"])
        return found

    def check_blobs(self, repository: str) -> None:
        """Looks whether the repository has every blob that its manifest names.

        Raises:
            NotThere: it has not.
        """
        found = self.manifest(repository)
        for descriptor in (found["config"], *found["layers"]):
            self._open(repository, f"blobs/{descriptor['digest']}", method="HEAD").close()

    def check_layout(self, repository: str, layout: Path) -> None:
        """Looks whether an OCI layout has every blob of the repository's image.

        Raises:
            NotThere: it has not, or another one under its name.
        """
        found = self.manifest(repository)
        for descriptor in (found["config"], *found["layers"]):
            path = layout / "blobs" / str(descriptor["digest"]).replace(":", "/")
            if not path.is_file():
                raise NotThere(f"the layout has no {descriptor['digest']}")
            with path.open("rb") as blob:
                if f"sha256:{hashlib.file_digest(blob, 'sha256').hexdigest()}" != descriptor["digest"]:
                    raise NotThere(f"the layout has something else as {descriptor['digest']}")

    def last_layer(self, repository: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """The entries of the last layer and, of those that are not large, their bytes."""
        descriptor = self.manifest(repository)["layers"][-1]
        with (
            self._open(repository, f"blobs/{descriptor['digest']}") as answer,
            tarfile.open(fileobj=answer, mode="r|*") as archive,
        ):
            for entry in archive:
                file = archive.extractfile(entry) if entry.isfile() and entry.size < 50_000_000 else None
                yield entry, file.read() if file else b""

    def _open(self, repository: str, path: str, method: str = "GET") -> http.client.HTTPResponse:
        request = urllib.request.Request(f"http://{self.address}/v2/{repository}/{path}", method=method)
        request.add_header("Accept", ", ".join(MANIFESTS))
        try:
            answer: http.client.HTTPResponse = direct().open(request, timeout=60)
        except urllib.error.HTTPError as error:
            raise NotThere(f"the registry has no {path} of it: {error.code}") from error
        return answer


def direct() -> urllib.request.OpenerDirector:
    """Opens URLs with no proxy between."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running_registry(directory: Path, run: Path) -> Iterator[Registry]:
    """Starts docker-registry on a free port with its blobs in `directory`; ends it with the block."""
    if shutil.which("docker-registry") is None:
        raise NotThere("docker-registry is not on PATH; Debian has it in the package docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory)}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    (run / "registry.json").write_text(json.dumps(settings))  # JSON is YAML
    with (run / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(run / "registry.json")], stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotThere(f"docker-registry does not answer: {(run / 'registry.log').read_text()[-300:]}")
            time.sleep(0.05)
        yield Registry(address, process.pid, directory)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def answers(address: str) -> bool:
    """Whether a registry is there."""
    try:
        direct().open(f"http://{address}/v2/", timeout=2).close()
    except OSError:
        return False
    return True
