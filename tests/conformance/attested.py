"""A build whose provenance has something in every field, and what BuildKit wrote of it (`fixtures/attestations`).

`script/record-provenance` records it. Ports differ from run to run; everything else is the same everywhere.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ARGUMENTS", "FIXTURES", "LABELS", "Attested", "key_paths", "read_attested", "served", "without_ports"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures/attestations"
ARGUMENTS = {"WORD": "given", "OTHER": "value"}
LABELS = {"label": "of the command line"}
_DOCKERFILE = """\
FROM base AS builder
ARG WORD=default
RUN --mount=type=secret,id=token --mount=type=cache,target=/cache echo $WORD >/out

FROM base
ARG OTHER
ADD {url}/file /got
ADD {url}/repository.git /repository
COPY --from=builder /out /
COPY Dockerfile /
LABEL own=label
"""
_WHEN = "2020-01-01T00:00:00Z"


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Path]:
    """A context whose Dockerfile takes a file and a repository from a server on loopback."""
    files, work, context = directory / "files", directory / "work", directory / "context"
    for path in (files, work, context):
        path.mkdir(parents=True)
    (files / "file").write_text("hello\n")
    (work / "file").write_text("hello\n")
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY.items()}
    git = functools.partial(
        subprocess.run,
        check=True,
        capture_output=True,
        timeout=60,
        env={**who, "PATH": "/usr/bin:/bin", "HOME": "/none"},
    )
    git(["git", "init", "--quiet", "--initial-branch=main", str(work)])
    git(["git", "-C", str(work), "add", "file"])
    git(["git", "-C", str(work), "commit", "--quiet", "--message=first"])
    git(["git", "clone", "--quiet", "--bare", str(work), str(files / "repository.git")])
    git(["git", "-C", str(files / "repository.git"), "update-server-info"])

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        (context / "Dockerfile").write_text(_DOCKERFILE.format(url=url))
        try:
            yield context
        finally:
            server.shutdown()
            thread.join()


_IDENTITY = {"NAME": "somebody", "EMAIL": "somebody@example.com", "DATE": _WHEN}


class Attested:
    """An archive's index, the manifest of statements about its first image, and the first statement."""

    def __init__(self, index: Any, manifest: Any, statement: Any) -> None:
        self.index = index
        self.manifest = manifest
        self.statement = statement

    def as_json(self) -> dict[str, Any]:
        return {"index": self.index, "manifest": self.manifest, "statement": self.statement}


def read_attested(archive: Path) -> Attested:
    """What an OCI archive with one attested image holds."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            stream = tar.extractfile(name)
            assert stream is not None
            return json.load(stream)

        def blob(descriptor: Mapping[str, Any]) -> Any:
            return read(f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}")

        index = blob(read("index.json")["manifests"][0])
        manifest = blob(next(each for each in index["manifests"] if "annotations" in each))
        return Attested(index, manifest, blob(manifest["layers"][0]))


def without_ports(value: Any) -> Any:
    """The value with every port of loopback taken out."""
    return json.loads(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", json.dumps(value)))


def key_paths(value: Any, prefix: str = "") -> set[str]:
    """Every path of keys in a JSON value; items of a list count as one."""
    if isinstance(value, dict):
        found = {f"{prefix}.{key}" for key in value}
        return found.union(*(key_paths(item, f"{prefix}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(key_paths(item, f"{prefix}[]") for item in value))
    return set()
