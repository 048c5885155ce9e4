"""An image as values that two builders can be compared by: config, history, every entry of each layer and of the whole.

Reads OCI archives with the standard library alone, so that pyoci's own reader judges nothing here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["normal_form"]

_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def normal_form(archive: Path, *, base_layers: int = 0) -> dict[str, Any]:
    """The image of an OCI archive. Times are left out (builders differ on purpose); of the lowest `base_layers` only
    diff IDs are kept, since they came from elsewhere.
    """
    with tarfile.open(archive) as outer:

        def read(name: str) -> bytes:
            member = outer.extractfile(name)
            assert member is not None
            return member.read()

        def blob(descriptor: Mapping[str, Any]) -> bytes:
            return read("blobs/" + str(descriptor["digest"]).replace(":", "/"))

        root = json.loads(read("index.json"))["manifests"][0]
        document = json.loads(blob(root))
        if "manifests" in document:
            document = json.loads(blob(document["manifests"][0]))
        config = json.loads(blob(document["config"]))
        layers = [_layer(blob(layer)) for layer in document["layers"] or ()]
    flat: dict[str, Any] = {}
    for layer in layers:
        _apply(flat, layer)
    return {
        "config": _config(config),
        "history": [
            {
                key: entry.get(key, default)
                for key, default in (("created_by", ""), ("empty_layer", False), ("comment", ""))
            }
            for entry in config.get("history", [])
        ],
        "layers": [dict(layer.items()) for layer in layers[base_layers:]],
        "files": flat if not base_layers else _changed(flat, layers[:base_layers]),
    }


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: config.get(key, "") for key in ("architecture", "os", "variant", "author")}
    container = {
        key: value for key, value in config.get("config", {}).items() if value not in (None, "", [], {}, False)
    }
    return {**{key: value for key, value in kept.items() if value}, "config": dict(sorted(container.items()))}


def _layer(blob: bytes) -> dict[str, Any]:
    raw = gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob
    entries: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
        for member in tar:
            path = member.name.strip("/").removeprefix("./")
            if path in ("", "."):
                continue
            entry: dict[str, Any] = {
                "type": _TYPES[member.type],
                "mode": f"{member.mode & 0o7777:04o}",
                "owner": f"{member.uid}:{member.gid}",
            }
            if member.issym() or member.islnk():
                entry["link"] = member.linkname
                if member.issym():
                    entry["mode"] = "0777"
            if member.ischr() or member.isblk():
                entry["device"] = f"{member.devmajor}:{member.devminor}"
            if member.isfile():
                stream = tar.extractfile(member)
                assert stream is not None
                data = stream.read()
                entry["size"] = len(data)
                entry["sha256"] = hashlib.sha256(data).hexdigest()
            xattrs = {
                key.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape").hex()
                for key, value in member.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            if xattrs:
                entry["xattrs"] = xattrs
            entries[path] = entry
    return dict(sorted(entries.items()))


def _apply(flat: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for path in layer:
        parent, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            _remove(flat, parent, itself=False)
        elif name.startswith(".wh."):
            _remove(flat, f"{parent}/{name[4:]}" if parent else name[4:], itself=True)
    for path, entry in layer.items():
        if path.rpartition("/")[2].startswith(".wh."):
            continue
        there = flat.get(path)
        if there is not None and "dir" in (there["type"], entry["type"]) and there["type"] != entry["type"]:
            _remove(flat, path, itself=True)
        if entry["type"] == "hardlink":
            entry = {**flat[entry["link"].strip("/")]}
        flat[path] = entry


def _remove(flat: dict[str, Any], path: str, *, itself: bool) -> None:
    for known in [k for k in flat if k.startswith(f"{path}/") or (itself and k == path)]:
        del flat[known]


def _changed(flat: Mapping[str, Any], base: list[dict[str, Any]]) -> dict[str, Any]:
    """What differs from the base: entries that are new or other, and paths that are gone."""
    before: dict[str, Any] = {}
    for layer in base:
        _apply(before, layer)
    changed = {path: entry for path, entry in sorted(flat.items()) if before.get(path) != entry}
    changed.update({path: None for path in sorted(before) if path not in flat})
    return changed
