"""An image to compile Go in, made of the machine's own toolchain and busybox: it stands in for the public golang."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.bases import busybox_base, locked, once

__all__ = ["go_base", "small_base", "static_base", "write_layout"]

_LEFT_OUT = ("test", "doc", "api", "misc", "src/cmd")
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def go_base(cache: Path) -> Path:
    """An OCI layout of the toolchain, made once per `cache`: shell, tools, `/usr/local/go`."""
    shell = busybox_base(cache)
    go = once(cache / "go.tar", _write_go)
    env = ["PATH=/usr/local/go/bin:/bin:/usr/bin", "GOTOOLCHAIN=local", "GOPATH=/go", "GOFLAGS=-p=2", "CGO_ENABLED=0"]
    data = once(cache / "static.tar", _write_static)
    return write_layout(cache / "golang", [data, shell, go], {"Env": env, "WorkingDir": "/go"})


def static_base(cache: Path) -> Path:
    """An OCI layout for both platforms with users, certificates and no program, whose user is `nonroot`."""
    data = once(cache / "static.tar", _write_static)
    config = {"Env": ["PATH=/usr/bin:/bin"], "User": "65532", "WorkingDir": "/home/nonroot"}
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    return write_layout(cache / "static", [data], config, *platforms)


def _write_static(target: Path) -> None:
    files = {
        "etc/passwd": "root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n",
        "etc/group": "root:x:0:\nnonroot:x:65532:\n",
        "etc/ssl/certs/ca-certificates.crt": "certificates would be here\n",
    }
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode, owner in [("etc", 0o755, 0), ("home", 0o755, 0), ("home/nonroot", 0o700, 65532)]:
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode, directory.uid, directory.gid = tarfile.DIRTYPE, mode, owner, owner
            archive.addfile(directory)
        for name, text in files.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text.encode()))


def small_base(cache: Path, *platforms: Mapping[str, str]) -> Path:
    """An OCI layout of busybox that says it is for each of the platforms (by default amd64)."""
    name = "-".join(["small", *("".join(platform.values()) for platform in platforms)])
    return write_layout(cache / name, [busybox_base(cache)], {"Env": ["PATH=/usr/local/bin:/bin:/usr/bin"]}, *platforms)


def _write_go(target: Path) -> None:
    program = shutil.which("go") or "/usr/local/go/bin/go"
    root = subprocess.run([program, "env", "GOROOT"], capture_output=True, text=True, check=True, timeout=60).stdout

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = member.name.removeprefix("usr/local/go/")
        if name in _LEFT_OUT or name.endswith(("/testdata", "_test.go")):
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root.strip(), "usr/local/go", filter=kept)


def write_layout(directory: Path, layers: list[Path], config: Mapping[str, Any], *platforms: Mapping[str, str]) -> Path:
    """A layout with one image tagged `latest`, or with an index of the same image for several platforms. Made once: a
    process that wrote it again would cut off blobs that a build of another one reads.
    """
    with locked(directory.with_suffix(".lock")):
        if not (directory / "index.json").exists():
            _write_layout(directory, layers, config, *platforms)
    return directory


def _write_layout(
    directory: Path, layers: list[Path], config: Mapping[str, Any], *platforms: Mapping[str, str]
) -> None:
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    stack = [put(layer.read_bytes(), "application/vnd.oci.image.layer.v1.tar") for layer in layers]
    manifests = []
    for platform in platforms or ({"os": "linux", "architecture": "amd64"},):
        rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in stack]}
        document = {**platform, "config": config, "rootfs": rootfs}
        made = put(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": made, "layers": stack}
        manifests.append({**put(json.dumps(manifest).encode(), _MANIFEST), "platform": platform})
    root = manifests[0]
    if len(manifests) > 1:
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
        root = put(json.dumps(index).encode(), _INDEX)
    root = {**root, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [root]}))
