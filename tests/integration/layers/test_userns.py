"""In a user namespace: overlays with user attributes, recorded owners, capabilities of the namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_userns

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import io, json, os, subprocess, sys
from pathlib import Path
from pyoci.digest import DiffID
from pyoci.layer.apply import ApplyPolicy
from pyoci.layer.entry import Upsert
from pyoci.snapshot.diff import read_upper
from pyoci.snapshot.lowers import Lower
from pyoci.snapshot.ondisk import OwnerRules
from pyoci.snapshot.unpack import LayerBlob, remove_directory, unpack_layers
from tests.builders import device, directory, file, make_layer, removed, symlink

world = Path(sys.argv[1])
capability = bytes.fromhex("0100000200200000" + "00" * 12)
layers = [
    make_layer({
        "etc/shadow": file(b"secret", mode=0o640, gid=42),
        "etc/motd": b"welcome",
        "ping": file(b"bin", xattrs={"security.capability": capability}),
        "closed": directory(mode=0),
        "closed/f": b"x",
        "null": device("char", 1, 3),
        "link": symlink("x", uid=1000, gid=1000),
        "gone/by/whiteout": b"x",
    }),
    make_layer({"gone": removed(), "usr/bin/x": file(b"x", uid=1000, mode=0o4755)}),
]
policy = ApplyPolicy("overlay-user", "record", "record")
lowers = []
skipped = []
for number, layer in enumerate(layers):
    (world / f"blob{number}").write_bytes(layer.blob)
    blob = LayerBlob(os.open(world / f"blob{number}", os.O_RDONLY), "gzip", layer.diff_id)
    unpacked = unpack_layers([blob], world / f"layer{number}", policy)
    skipped += unpacked.applied.skipped
    lowers.insert(0, Lower(unpacked.files, unpacked.applied.owners))
for name in ("upper", "work", "merged"):
    (world / name).mkdir()
stack = ":".join(str(lower.files) for lower in lowers)
options = f"userxattr,lowerdir={stack},upperdir={world}/upper,workdir={world}/work"
subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(world / "merged")], check=True)
listing = sorted(os.listdir(world / "merged"))
step = "sed -i s/secret/changed/ etc/shadow; rm etc/motd; touch new closed/g; chmod 755 ping usr/bin/x; "
subprocess.run(["sh", "-ec", step + "ln -sf y link; chmod 644 null"], cwd=world / "merged", check=True)
subprocess.run(["umount", str(world / "merged")], check=True)
upper = os.open(world / "upper", os.O_RDONLY)
found = read_upper(upper, lowers, OwnerRules("record", {}, (0, 0)))
os.close(upper)
entries = {}
for change in found.changes:
    if isinstance(change, Upsert):
        entry = change.entry
        xattrs = {key: value.hex() for key, value in entry.xattrs.items()}
        entries[entry.path] = [entry.type, entry.mode, entry.uid, entry.gid, xattrs]
    else:
        entries["-" + change.path] = []
for path in list(world.iterdir()):
    remove_directory(path)
left = os.listdir(world)
print(json.dumps({"listing": listing, "entries": entries, "skipped": [item.what for item in skipped], "left": left}))
"""


def test_a_step_of_a_user_with_a_single_id(tmp_path: Path) -> None:
    """What SANDBOX's recorder mode relies on: owners come back from attributes, lower layers and the table."""
    world = tmp_path / "world"
    world.mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", SCRIPT, str(world)]
    environment = {"PATH": os.defpath + ":/usr/sbin:/sbin", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["listing"] == ["closed", "etc", "link", "null", "ping", "usr"]
    capability = {"security.capability": "0100000200200000" + "00" * 12}
    assert found["entries"] == {
        "closed": ["dir", 0, 0, 0, {}],
        "closed/g": ["file", 0o644, 0, 0, {}],
        "etc": ["dir", 0o755, 0, 0, {}],
        "-etc/motd": [],
        "etc/shadow": ["file", 0o640, 0, 42, {}],
        "link": ["symlink", 0o777, 1000, 1000, {}],
        "new": ["file", 0o644, 0, 0, {}],
        "null": ["char", 0o644, 0, 0, {}],
        "ping": ["file", 0o755, 0, 0, capability],
        "usr": ["dir", 0o755, 0, 0, {}],
        "usr/bin": ["dir", 0o755, 0, 0, {}],
        "usr/bin/x": ["file", 0o755, 1000, 0, {}],
    }
    assert found["skipped"] == []
    assert found["left"] == []
