"""Unpacking, comparing and removing as a user without any privilege, for whom modes are walls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import pyoci
from tests.integration.accounts import NOBODY, public_directory, python_for_everybody

pytestmark = pytest.mark.needs_root

SCRIPT = """
import io, os, stat, sys, tarfile
from pathlib import Path
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.directories import remove_tree
from pyoci.snapshot.compare import compare_directories, list_tree
from pyoci.snapshot.ondisk import OwnerRules

world = Path(sys.argv[1])
(world / "root").mkdir()
root = os.open(world / "root", os.O_RDONLY)

def unpack(*members, whiteouts="merge"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, mode in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size = kind, mode, 1 if kind == tarfile.REGTYPE else 0
            info.uid = info.gid = 7
            info.devmajor, info.devminor = 1, 3
            archive.addfile(info, io.BytesIO(b"x"))
    out.seek(0)
    return apply_layer(out, root, policy=ApplyPolicy(whiteouts, "record", "make"))

D, F = tarfile.DIRTYPE, tarfile.REGTYPE
unpack(("d", D, 0), ("d/e", D, 0o100), ("d/e/f", F, 0), ("ro", D, 0o555), ("ro/f", F, 0o444), ("w", D, 0o1777))
modes = {name: stat.S_IMODE(os.stat(name, dir_fd=root).st_mode) for name in ("d", "ro", "w")}
assert modes == {"d": 0, "ro": 0o555, "w": 0o1777}, modes

unpack(("ro/new", F, 0o644), ("ro/.wh.f", F, 0), ("d/e/g", F, 0o600), ("d/.wh.none", F, 0))
assert sorted(os.listdir("root/ro")) == ["new"]
modes = {name: stat.S_IMODE(os.stat(name, dir_fd=root).st_mode) for name in ("d", "ro", "w")}
assert modes == {"d": 0, "ro": 0o555, "w": 0o1777}, modes

unpack(("d", F, 0o644), ("device", tarfile.CHRTYPE, 0o600))
assert os.getxattr("root/device", "user.pyoci.device") == b"c 1 3"
(world / "root/w").chmod(0o700)

unpack(*((f"{p}d", D, m) for p, m in (("", 0), ("d/", 0o500), ("d/d/", 0o300))), ("d/d/d/f", F, 0))
remove_tree("root", os.open(world, os.O_RDONLY))
assert os.listdir(world) == []
print("done")
"""


def test_modes_stop_nothing(tmp_path: Path) -> None:
    python, _ = python_for_everybody()
    package = Path(pyoci.__file__).parent
    with public_directory("layers") as world:
        shutil.copytree(package, world / "lib/pyoci", ignore=shutil.ignore_patterns("__pycache__"))
        (world / "work").mkdir()
        os.chown(world / "work", NOBODY, NOBODY)
        run = subprocess.run(
            [python, "-c", SCRIPT, str(world / "work")],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd=world / "work",
            env={"PATH": os.defpath, "PYTHONPATH": str(world / "lib"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.stdout == "done\n", run.stderr
