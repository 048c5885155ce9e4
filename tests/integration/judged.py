"""An image with all that archives and unpackers get wrong: small, runnable, and with the answer to every question."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from pyoci.content import MemoryContent
from pyoci.image import ContainerConfig, Healthcheck, Image, ImageConfig
from pyoci.image.media_types import Compression
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from tests.builders import (
    Item,
    directory,
    fifo,
    file,
    hardlink,
    make_image,
    make_layer,
    opaque,
    open_layers,
    removed,
    symlink,
)
from tests.integration.bases import BUSYBOX

__all__ = [
    "FILES",
    "GREETING",
    "HOST",
    "LONG",
    "host_image",
    "host_tree",
    "listing_of_directory",
    "listing_of_tree",
    "other_image",
]

HOST = Platform("linux", {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine))
GREETING = "user: root id: 0\n"
LONG = "long/" + "/".join(["a" * 60] * 4) + "/" + "b" * 120

FILES = {
    "etc/message": b"from the upper layer\n",
    "etc/unicode-\u2603": b"snow\n",
    LONG: b"deep\n",
    "replaced/new": b"new\n",
}
"""What the merged file system holds, among others."""

_LOWER: dict[str, Item] = {
    "bin/sh": symlink("busybox"),
    "bin/second-name": replace(hardlink("bin/busybox"), mode=0o755),  # docker gives the file the mode of the link
    "etc/passwd": b"root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    "etc/group": b"root:x:0:\nuser:x:1000:\n",
    "etc/message": b"from the lower layer\n",
    "etc/doomed": b"gone\n",
    "doomed/a/b": b"gone\n",
    "replaced/old": b"gone\n",
    "home/user": directory(mode=0o700, uid=1000, gid=1000, mtime=86400),
    "tmp": directory(mode=0o1777),
}
_UPPER: dict[str, Item] = {
    "etc/message": file(FILES["etc/message"], mode=0o640, gid=1000, mtime=1_000_000_000),
    "etc/unicode-\u2603": FILES["etc/unicode-\u2603"],
    LONG: FILES[LONG],
    "etc/doomed": removed(),
    "doomed": removed(),
    "replaced": opaque(),
    "replaced/new": FILES["replaced/new"],
    "home/user": directory(mode=0o700, uid=1000, gid=1000, mtime=86400),
    "home/user/.profile": file(b"", uid=1000, gid=1000, mode=0o600),
    "run/pipe": fifo(mode=0o600),
    "usr/bin/elevated": file(b"#!/bin/sh\n", mode=0o4755),
    "usr/bin/link-up": symlink("../../etc/message"),
}


def host_image(
    compression: Compression = "gzip", *, content: MemoryContent | None = None
) -> tuple[MemoryContent, Image]:
    """The image for this machine; by default it prints `GREETING`."""
    assert BUSYBOX.exists(), "install busybox-static"
    lower = {"bin/busybox": file(BUSYBOX.read_bytes(), mode=0o755), **_LOWER}
    container = ContainerConfig(
        env=("PATH=/bin:/usr/bin", "GREETING=hello world"),
        entrypoint=("/bin/sh", "-c"),
        cmd=('echo "user: $(id -un) id: $(id -u)"',),
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        labels={"org.example.key": "value"},
        working_dir="/home/user",
        stop_signal="SIGINT",
        healthcheck=Healthcheck(("CMD", "/bin/busybox", "true"), interval=30_000_000_000, retries=3),
    )
    config = ImageConfig(HOST, container, created="2024-01-01T00:00:00Z", author="tests")
    layers = [make_layer(lower, compression=compression), make_layer(_UPPER, compression=compression)]
    return make_image(layers, config, content=content)


def other_image(platform: Platform, content: MemoryContent) -> Image:
    """An image for a machine that this is not."""
    return make_image(
        [make_layer({"bin/app": file(b"not for here", mode=0o755)})], ImageConfig(platform), content=content
    )[1]


def listing_of_tree(tree: Tree) -> dict[str, tuple[object, ...]]:
    """Type, mode, owner, time of files, and content or target of every path."""
    found: dict[str, tuple[object, ...]] = {}
    for entry in tree.walk():
        mode = entry.mode if entry.type != "symlink" else 0o777
        content: object = entry.link
        if entry.type == "file":
            with tree.open(entry) as stream:
                content = stream.read()
        time = entry.mtime if entry.type == "file" else None
        found[entry.path] = (entry.type, mode, entry.uid, entry.gid, time, content)
    return found


def listing_of_directory(root: Path) -> dict[str, tuple[object, ...]]:
    """The same of what was unpacked by somebody."""
    kinds = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        kind = kinds[stat.S_IFMT(status.st_mode)]
        content: object = str(path.readlink()) if kind == "symlink" else path.read_bytes() if kind == "file" else ""
        time = int(status.st_mtime) if kind == "file" else None
        name = path.relative_to(root).as_posix()
        found[name] = (kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, time, content)
    return found


def host_tree(image: Image, content: MemoryContent) -> Tree:
    return Tree(open_layers(image, content))
