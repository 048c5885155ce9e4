"""The base image of the suite, as an OCI layout: busybox, a few accounts, and directories that tests can clash with."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

__all__ = ["BASE_LAYERS", "write_base_layout"]

BASE_LAYERS = 1
_APPLETS = (
    "sh ls cat echo mkdir rm touch chmod chown ln mv cp id pwd env printenv stat sed grep head tail find sleep "
    "true false test uname hostname mkfifo mknod tar adduser addgroup readlink sha256sum wc sort od tr basename "
    "dirname date mount umount ip nc ps kill xargs tee cut"
)
_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "app:x:1000:1001:app:/home/app:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n"
    ),
    "etc/group": "root:x:0:\napp:x:1001:\nwheel:x:10:app\nnogroup:x:65534:\n",
    "etc/motd": "base\n",
    "opt/tool/bin/run": "#!/bin/sh\necho run\n",
    "opt/tool/etc/conf": "a=1\n",
    "srv/data/one": "1\n",
    "srv/data/two": "2\n",
}
_LINKS = {"usr/bin": "../bin", "var/run": "/run", "srv/link": "data", "etc/alias": "/etc/motd"}
_DIRECTORIES = {
    "bin": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "home/app": 0o700,
    "opt": 0o755,
    "opt/tool": 0o750,
    "opt/tool/bin": 0o755,
    "opt/tool/etc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "srv": 0o755,
    "srv/data": 0o2775,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "proc": 0o555,
    "sys": 0o555,
    "dev": 0o755,
}
_OWNERS = {"home/app": (1000, 1001), "srv/data": (0, 10), "srv/data/one": (1000, 1001)}


def _layer() -> bytes:
    out = io.BytesIO()
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
            member.uid, member.gid = _OWNERS.get(name, (0, 0))
            tar.addfile(member, io.BytesIO(data))

        for name, mode in sorted(_DIRECTORIES.items()):
            add(name, tarfile.DIRTYPE, mode)
        add("bin/busybox", tarfile.REGTYPE, 0o755, busybox)
        for applet in sorted(_APPLETS.split()):
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        for name, text in sorted(_FILES.items()):
            add(name, tarfile.REGTYPE, 0o755 if name.endswith("/run") else 0o644, text.encode())
        for name, target in sorted(_LINKS.items()):
            add(name, tarfile.SYMTYPE, 0o777, link=target)
    return out.getvalue()


def write_base_layout(directory: Path) -> str:
    """Writes the layout; the image is tagged `latest`. Returns the digest of its manifest."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(_layer(), "application/vnd.oci.image.layer.v1.tar")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "BASE=yes"],
            "Cmd": ["/bin/sh"],
            "WorkingDir": "/",
            "Labels": {"from": "base"},
            "ExposedPorts": {"9/udp": {}},
            "Volumes": {"/vol": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created_by": "the base", "created": "2020-01-01T00:00:00Z"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    root = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    root["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    root["platform"] = {"architecture": "amd64", "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [root]}
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text(json.dumps(index))
    return str(root["digest"])
