"""The kernel's overlayfs as the judge: of what a stack of layers is, and of what a step changed in one."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyoci.digest import DiffID, sha256_digest
from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy
from pyoci.layer.entry import Change, Entry, LayerPath
from pyoci.layer.tree import Tree
from pyoci.layer.writer import write_layer
from pyoci.snapshot.compare import compare_directories, list_tree
from pyoci.snapshot.diff import read_upper
from pyoci.snapshot.lowers import Lower
from pyoci.snapshot.ondisk import OwnerRules, open_file
from pyoci.snapshot.unpack import LayerBlob, Unpacked, remove_directory, unpack_layers
from tests.builders import Item, MemoryChanges, changes_of, device, directory, file, hardlink, make_layer, symlink
from tests.stacks import FILE_THEN_BELOW_IT, STACKS, TarEntry, seen_in_tree, seen_on_disk, tars_of, tree_of_tars

pytestmark = pytest.mark.needs_root

TRUSTED = ApplyPolicy("overlay-trusted", "chown", "make")
MERGE = ApplyPolicy("merge", "chown", "make")
CHOWN = OwnerRules("chown")


def unpacked(path: Path, tar: bytes, policy: ApplyPolicy) -> Unpacked:
    blob = path.with_suffix(".tar")
    blob.write_bytes(tar)
    descriptor = os.open(blob, os.O_RDONLY)
    try:
        return unpack_layers([LayerBlob(descriptor, "none", DiffID(sha256_digest(tar)))], path, policy)
    finally:
        os.close(descriptor)


@contextmanager
def overlay(world: Path, lowers: Sequence[Path]) -> Iterator[Path]:
    """The lower directories (uppermost first) under an upper one, mounted as the sandbox mounts them."""
    for name in ("upper", "work", "merged"):
        (world / name).mkdir()
    stack = ":".join(str(lower) for lower in lowers)
    options = f"lowerdir={stack},upperdir={world}/upper,workdir={world}/work,redirect_dir=off,metacopy=off"
    merged = world / "merged"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=True, timeout=30)
    try:
        yield merged
    finally:
        subprocess.run(["umount", str(merged)], check=True, timeout=30)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    path = parent / f"scratch-{random.getrandbits(64):x}"
    path.mkdir()
    try:
        yield path
    finally:
        remove_directory(path)


def implied_in(tars: list[bytes], number: int) -> dict[LayerPath, Entry]:
    """What the directories are that a layer implies: what the layers below show there."""
    below = tree_of_tars(tars[:number])
    return {entry.path: entry for entry in below.walk() if entry.type == "dir"}


@given(STACKS)
@example(FILE_THEN_BELOW_IT)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stack_is_what_overlayfs_shows(tmp_path: Path, stack: list[list[TarEntry]]) -> None:
    tars = tars_of(stack)
    try:
        expected = seen_in_tree(tree_of_tars(tars))
    except LayerError:
        return
    with scratch(tmp_path) as world:
        lowers: list[Path] = []
        for number, tar in enumerate(tars):
            policy = ApplyPolicy("overlay-trusted", "chown", "make", implied_in(tars, number))
            layer = unpacked(world / f"layer{number}", tar, policy)
            lowers = [layer.files] if layer.applied.opaque_root else [layer.files, *lowers]
        with overlay(world, lowers) as merged:
            assert seen_on_disk(merged) == expected


BASE: dict[str, Item] = {
    "etc/passwd": b"root:x:0:0\n",
    "etc/shadow": file(b"root:*:\n", mode=0o640, gid=42),
    "etc/motd": b"welcome\n",
    "usr/bin/su": file(b"\x7fELF", mode=0o4755),
    "usr/bin/ping": file(b"\x7fELF", xattrs={"security.capability": bytes.fromhex("0100000200200000" + "00" * 12)}),
    "usr/share/doc/apt/copyright": b"free",
    "usr/share/doc/apt/changelog": b"long",
    "opt/a/one": b"1",
    "opt/a/two/three": b"3",
    "first": b"linked",
    "second": hardlink("first"),
    "bin": symlink("usr/bin"),
    "var/mail": directory(mode=0o2775, gid=8),
    "dev/null": device("char", 1, 3, mode=0o666),
    "tmp": directory(mode=0o1777),
}


def view_of(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything that a layer could say of a directory's contents, except the times of directories."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
        status = path.lstat()
        name = path.relative_to(root).as_posix()
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            continue
        what: object = path.readlink() if kind == stat.S_IFLNK else ""
        if kind == stat.S_IFREG:
            what = path.read_bytes()
        xattrs = {}
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            xattrs = {key: os.getxattr(path, key) for key in os.listxattr(path) if not key.startswith("trusted.")}
        link = inodes.setdefault(status.st_ino, name) if kind != stat.S_IFDIR else name
        mtime = 0 if kind == stat.S_IFDIR else int(status.st_mtime)
        owner = (status.st_uid, status.st_gid)
        found[name] = (kind, stat.S_IMODE(status.st_mode), owner, status.st_rdev, mtime, link, what, xattrs)
    return found


def written(changes: Sequence[Change], upper: Path) -> bytes:
    root = os.open(upper, os.O_RDONLY)
    out = io.BytesIO()
    try:
        write_layer(changes, lambda entry: open_file(root, entry.path), out, compression="none", mtime_limit=1 << 40)
    finally:
        os.close(root)
    return out.getvalue()


STEPS: list[tuple[str, str]] = [
    ("a removed file", "rm etc/motd"),
    ("a directory removed and made again",
     "rm -rf usr/share/doc/apt; mkdir usr/share/doc/apt; echo x > usr/share/doc/apt/new"),
    ("made again deep inside", "rm -rf usr/share; mkdir -p usr/share/doc/apt; echo x > usr/share/doc/apt/copyright"),
    ("a renamed directory", "mv opt/a opt/b"),
    ("a directory replaced by a file", "rm -rf opt/a; echo file > opt/a"),
    ("a file replaced by a directory", "rm etc/motd; mkdir etc/motd; echo x > etc/motd/x"),
    ("a link replaced by a directory", "rm bin; mkdir bin; echo sh > bin/sh"),
    ("owners and modes", "chown 1000:1000 etc/passwd; chmod 600 etc/shadow; chown -h 5:6 bin; chmod 1700 opt"),
    ("setuid and capabilities", "cp -a usr/bin/ping usr/bin/ping2; chmod 6755 usr/bin/su; mv usr/bin/su usr/sbin-su"),
    ("new links", "ln etc/passwd etc/passwd-; ln -s x y; ln first third; echo y > z; ln z zz; mkdir q; ln z q/z"),
    ("broken links", "echo more >> second"),
    ("devices and pipes", "mknod c c 1 5; mknod b b 7 0; mkfifo p; rm dev/null"),
    ("times", "touch -d @1000 etc/passwd; touch -h -d @2000 bin"),
    ("edited in place with the time put back",
     "touch -r etc/motd r; printf W | dd of=etc/motd conv=notrunc; touch -r r etc/motd; rm r"),
    ("attributes", "setfattr -n user.x -v y etc/passwd; setfattr -n user.d -v z opt"),
    ("odd names", "touch -- 'with space' '-dash' \"$(printf 'new\\nline')\" \"$(printf '\\377')\" .hidden"),
    ("nothing at all", "cat etc/passwd; ls -R; chmod 644 etc/motd; mv etc/motd m; mv m etc/motd"),
    ("everything gone", "rm -rf etc usr opt first second bin var dev tmp"),
    ("setgid directories", "mkdir var/mail/sub; touch var/mail/new"),
    ("a socket", "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\"; touch t"),
]  # fmt: skip


@pytest.mark.parametrize("command", [step[1] for step in STEPS], ids=[step[0] for step in STEPS])
@pytest.mark.parametrize("how", ["overlay", "compare"])
def test_the_changes_of_a_step_make_the_same_again(how: str, command: str, tmp_path: Path) -> None:
    """What the step left is what its layer over the base unpacks to, and what the tree says."""
    if "setfattr" in command:
        command = command.replace("setfattr -n", f'{sys.executable} -c "{SETFATTR}" ')
    base = make_layer(BASE)
    lower = unpacked(tmp_path / "base", base.tar, TRUSTED)
    shell = ["sh", "-ec", command]
    if how == "overlay":
        with overlay(tmp_path, [lower.files]) as merged:
            subprocess.run(shell, cwd=merged, check=True, capture_output=True, timeout=30)
            expected = view_of(merged)
        root = tmp_path / "upper"
        descriptor = os.open(root, os.O_RDONLY)
        changes = read_upper(descriptor, [Lower(lower.files)], CHOWN).changes
    else:
        root = tmp_path / "copy"
        subprocess.run(["cp", "-a", str(lower.files), str(root)], check=True, timeout=30)
        descriptor = os.open(root, os.O_RDONLY)
        listing = list_tree(descriptor)
        subprocess.run(shell, cwd=root, check=True, capture_output=True, timeout=30)
        expected = view_of(root)
        changes = compare_directories(listing, descriptor, CHOWN).changes
    os.close(descriptor)
    tar = written(changes, root)
    if command.startswith("cat ") and how == "overlay":
        assert changes == ()
    again = tmp_path / "again"
    layers = []
    for number, data in enumerate((base.tar, tar)):
        (tmp_path / f"{number}.tar").write_bytes(data)
        descriptor = os.open(tmp_path / f"{number}.tar", os.O_RDONLY)
        layers.append(LayerBlob(descriptor, "none", DiffID(sha256_digest(data))))
    found = view_of(unpack_layers(layers, again, MERGE).files)
    if how == "overlay":  # a link to a file that is the same is a file of its own in the layer, as in BuildKit
        found, expected = without_links(found), without_links(expected)
    assert found == expected
    stacked = [unpacked(tmp_path / "top", tar, TRUSTED).files, lower.files]
    shutil.rmtree(tmp_path / "upper", ignore_errors=True)
    with scratch(tmp_path) as world, overlay(world, stacked) as merged:
        assert without_links(view_of(merged)) == (expected if how == "overlay" else without_links(expected))
    tree = tree_of_tars([base.tar, tar])
    assert {entry.path for entry in tree.walk()} == set(expected)
    assert [entry.mode for entry in tree.walk()] == [view[1] for view in expected.values()]


SETFATTR = "import os,sys; n,_,v,f = sys.argv[1:]; os.setxattr(f, n, v.encode())"


def without_links(view: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """A hard link between layers is two files on an overlay."""
    return {path: (*what[:5], *what[6:]) for path, what in view.items()}


OPERATIONS = ("write", "append", "remove", "mkdir", "symlink", "link", "rename", "chmod", "chown")


def random_step(root: Path, seed: int) -> None:
    """A few dozen things that programs do, in an order that nobody thought of."""
    chance = random.Random(seed)
    names = ["a", "b", "c", "d"]
    for _ in range(40):
        path = root.joinpath(*chance.choices(names, k=chance.randint(1, 3)))
        other = root.joinpath(*chance.choices(names, k=chance.randint(1, 3)))
        try:
            match chance.choice(OPERATIONS):
                case "write":
                    path.write_bytes(chance.randbytes(3))
                case "append":
                    with path.open("r+b") as stream:
                        stream.write(b"x")
                case "remove":
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                case "mkdir":
                    path.mkdir(parents=chance.random() < 0.5)
                case "symlink":
                    path.symlink_to(other.name)
                case "link":
                    os.link(path, other, follow_symlinks=False)
                case "rename":
                    subprocess.run(["mv", "-T", str(path), str(other)], capture_output=True, timeout=30)
                case "chmod":
                    path.chmod(chance.choice([0o700, 0o755, 0o600]))
                case _:
                    os.chown(path, chance.randint(0, 2), 0, follow_symlinks=False)
        except OSError:
            continue


@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_step_over_any_base(tmp_path: Path, base_seed: int, step_seed: int) -> None:
    """apply(diff(a, b)) onto a is b, with links and owners."""
    with scratch(tmp_path) as world:
        empty = world / "nothing"
        empty.mkdir()
        with overlay(world, [empty]) as merged:
            random_step(merged, base_seed)
        first = os.open(world / "upper", os.O_RDONLY)
        base = read_upper(first, [Lower(empty)], CHOWN).changes
        os.close(first)
        base_tar = written(base, world / "upper")
        lower = unpacked(world / "base", base_tar, TRUSTED)
        (world / "second").mkdir()
        with overlay(world / "second", [lower.files]) as merged:
            random_step(merged, step_seed)
            expected = view_of(merged)
        upper = world / "second/upper"
        descriptor = os.open(upper, os.O_RDONLY)
        tar = written(read_upper(descriptor, [Lower(lower.files)], CHOWN).changes, upper)
        os.close(descriptor)
        layers = []
        for number, data in enumerate((base_tar, tar)):
            (world / f"{number}.tar").write_bytes(data)
            descriptor = os.open(world / f"{number}.tar", os.O_RDONLY)
            layers.append(LayerBlob(descriptor, "none", DiffID(sha256_digest(data))))
        found = view_of(unpack_layers(layers, world / "again", MERGE).files)
        for layer in layers:
            os.close(layer.descriptor)
        assert without_links(found) == without_links(expected)


def test_thirty_layers(tmp_path: Path) -> None:
    """Whiteouts, replacements and merged directories through a deep stack."""
    tars = []
    for number in range(30):
        items = {f"own/{number}": b"x", "shared/latest": b"%d" % number, f"d{number % 7}/f{number}": b"y"}
        tars.append(make_layer(items).tar)
    expected = seen_in_tree(tree_of_tars(tars))
    lowers = [unpacked(tmp_path / f"l{number}", tar, TRUSTED).files for number, tar in enumerate(tars)]
    with overlay(tmp_path, lowers[::-1]) as merged:
        assert seen_on_disk(merged) == expected


def test_what_read_upper_leaves_is_readable_as_a_tree(tmp_path: Path) -> None:
    base = make_layer(BASE)
    lower = unpacked(tmp_path / "base", base.tar, TRUSTED)
    with overlay(tmp_path, [lower.files]) as merged:
        (merged / "new").write_bytes(b"content")
    descriptor = os.open(tmp_path / "upper", os.O_RDONLY)
    changes = read_upper(descriptor, [Lower(lower.files)], CHOWN).changes
    os.close(descriptor)
    tree = Tree([changes_of(BASE), MemoryChanges(changes, {LayerPath("new"): b"content"})])
    assert tree.open("new").read() == b"content"
