"""The policy for hostile layers, clause by clause, against a real directory with something precious beside it."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.compression import open_decompressed
from pyoci.layer.entry import LayerPath, Remove
from pyoci.layer.index import index_layer
from pyoci.layer.limits import Limits
from tests.unit.layer.tars import END, block, member, pax, tar_of

OVERLAY = ApplyPolicy("overlay-user", "record", "record")
MERGE = ApplyPolicy("merge", "record", "record")
BOTH = pytest.mark.parametrize("policy", [OVERLAY, MERGE], ids=["overlay", "merge"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """A directory `root` for layers and beside it `outside` with a file; nothing but the root may change."""
    (tmp_path / "root").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before


def snapshot(world: Path) -> list[tuple[str, int, int, str]]:
    outside = [world / "outside", *sorted((world / "outside").rglob("*"))]
    result = []
    for path in outside:
        status = path.lstat()
        text = path.read_text() if stat.S_ISREG(status.st_mode) else ""
        result.append((path.name, status.st_mode, status.st_mtime_ns, text))
    return [*result, ("names", 0, 0, " ".join(sorted(path.name for path in world.iterdir())))]


def unpack(data: bytes, world: Path, policy: ApplyPolicy, limits: Limits | None = None) -> None:
    descriptor = os.open(world / "root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        apply_layer(io.BytesIO(data), descriptor, policy=policy, limits=limits or Limits())
    finally:
        os.close(descriptor)


def refused(data: bytes, world: Path, policy: ApplyPolicy, message: str) -> None:
    """Neither unpacked nor indexed."""
    with pytest.raises(LayerError, match=message):
        unpack(data, world, policy)
    with pytest.raises(LayerError, match=message):
        index_layer(io.BytesIO(data), "none", diff_id=None)


@BOTH
@pytest.mark.parametrize(
    "name", ["../outside/precious", "/../outside/precious", "a/../../outside/precious", "a/b/../../../x"]
)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_names_that_lead_out_are_refused(name: str, kind: bytes, policy: ApplyPolicy, world: Path) -> None:
    refused(tar_of(member(name, kind, linkname="x")), world, policy, "leads out of the root")


@BOTH
def test_absolute_names_are_confined(policy: ApplyPolicy, world: Path) -> None:
    unpack(tar_of((member("/outside/precious"), b"x"), (member("//etc/passwd"), b"y")), world, policy)
    assert (world / "root/outside/precious").read_text() == "x"
    assert (world / "root/etc/passwd").read_text() == "y"


@BOTH
@pytest.mark.parametrize("target", ["{outside}", "../outside", "/", ".."])
def test_a_link_in_the_way_leads_where_it_would_inside_the_root(target: str, policy: ApplyPolicy, world: Path) -> None:
    link = target.format(outside=world / "outside")
    unpack(tar_of(member("d", tarfile.SYMTYPE, linkname=link), (member("d/precious"), b"evil")), world, policy)
    assert (world / "root/d").readlink() == Path(link)
    inside = {"/": "", "..": "", "../outside": "outside"}.get(link, link.strip("/"))
    assert (world / "root" / inside / "precious").read_text() == "evil"


@BOTH
def test_a_link_from_an_earlier_layer_is_not_followed_either(policy: ApplyPolicy, world: Path) -> None:
    (world / "root/d").symlink_to(world / "outside")
    (world / "root/precious").symlink_to(world / "outside/precious")
    unpack(
        tar_of((member("d/e/f"), b"1"), (member("precious"), b"2"), member("d", tarfile.DIRTYPE, mode=0o700)),
        world,
        policy,
    )
    assert (world / "root/d/e/f").read_text() == "1"
    assert not (world / "root/precious").is_symlink()


@BOTH
@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_replaces_a_link_leaves_its_target_alone(kind: bytes, policy: ApplyPolicy, world: Path) -> None:
    (world / "root/x").symlink_to(world / "outside")
    attributes = {"mode": 0o777, "uid": 7, "mtime": 99, "devmajor": 1, "devminor": 3}
    unpack(tar_of(member("x", kind, **attributes)), world, policy)
    assert not (world / "root/x").is_symlink()


def test_whiteouts_do_not_follow_links(world: Path) -> None:
    (world / "root/d").symlink_to(world / "outside")
    unpack(tar_of(member("d/.wh.precious"), member("d/.wh..wh..opq")), world, MERGE)
    (world / "root/e").symlink_to(world / "outside")
    unpack(tar_of(member(".wh.e")), world, MERGE)
    assert not (world / "root/e").is_symlink()


@BOTH
@pytest.mark.parametrize("target", ["../outside/precious", "/../outside/precious", "a/../../outside/precious"])
def test_hard_links_that_lead_out_are_refused(target: str, policy: ApplyPolicy, world: Path) -> None:
    refused(tar_of(member("x", tarfile.LNKTYPE, linkname=target)), world, policy, "leads out of the root")


@BOTH
def test_hard_links_do_not_follow_links(policy: ApplyPolicy, world: Path) -> None:
    through = tar_of(
        member("d", tarfile.SYMTYPE, linkname=str(world / "outside")),
        member("x", tarfile.LNKTYPE, linkname="d/precious"),
    )
    refused(through, world, policy, r'the hard link "x" points to ".*/outside/precious", which is no file of its layer')
    onto = tar_of(
        member("l", tarfile.SYMTYPE, linkname=str(world / "outside/precious")),
        member("y", tarfile.LNKTYPE, linkname="l"),
        (member("y"), b"written"),
    )
    unpack(onto, world, policy)
    assert (world / "root/l").is_symlink()
    assert (world / "root/y").read_text() == "written"


@BOTH
def test_a_hard_link_is_not_written_through(policy: ApplyPolicy, world: Path) -> None:
    """The second content makes a new file; the first name keeps what it had."""
    data = tar_of((member("a"), b"one"), member("b", tarfile.LNKTYPE, linkname="a"), (member("b"), b"two"))
    unpack(data, world, policy)
    assert ((world / "root/a").read_text(), (world / "root/b").read_text()) == ("one", "two")


@BOTH
@pytest.mark.parametrize("target", ["x", "x/y", "."])
def test_a_hard_link_to_itself_or_a_directory(target: str, policy: ApplyPolicy, world: Path) -> None:
    data = tar_of((member("x/y"), b"1"), member("x", tarfile.LNKTYPE, linkname=target))
    refused(data, world, policy, 'the hard link "x"')


def test_a_hard_link_to_a_whiteout_is_refused(world: Path) -> None:
    """It would hide another path in a way that the layer's own whiteouts cannot."""
    data = tar_of(member(".wh.a"), member("b", tarfile.LNKTYPE, linkname="a"))
    refused(data, world, OVERLAY, "which is no file of its layer")


@pytest.mark.parametrize("policy", [OVERLAY, ApplyPolicy("overlay-user", "record", "make")])
def test_a_device_that_overlayfs_takes_for_a_whiteout_is_one(policy: ApplyPolicy, world: Path) -> None:
    data = tar_of(member("etc", tarfile.CHRTYPE, devmajor=0, devminor=0))
    assert list(index_layer(io.BytesIO(data), "none", diff_id=None).changes) == [Remove(LayerPath("etc"))]
    unpack(data, world, policy)
    assert os.lstat(world / "root/etc").st_rdev == 0


@BOTH
def test_attributes_that_overlayfs_would_obey_are_left_out(policy: ApplyPolicy, world: Path) -> None:
    records = [(f"SCHILY.xattr.{name}.overlay.opaque", b"y") for name in ("user", "trusted")]
    records += [
        ("SCHILY.xattr.user.overlay.redirect", b"/outside"),
        ("SCHILY.xattr.user.rootlesscontainers", b"\x08\x07"),
    ]
    unpack(pax(records) + block(b"d/", flag=b"5") + END, world, policy)
    assert os.listxattr(world / "root/d") == []


@BOTH
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".wh.", "names nothing"),
        ("a/.wh..", "names nothing"),
        (".wh...", "names nothing"),
        ("a/.wh.b/c", "lies below a whiteout"),
        (".wh.b/", "is a directory"),
        (".wh..wh..opq/", "is a directory|lies below"),
    ],
)
def test_whiteouts_that_are_refused(name: str, message: str, policy: ApplyPolicy, world: Path) -> None:
    kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
    refused(tar_of(member(name, kind)), world, policy, message)


@BOTH
def test_clashes_of_every_kind(policy: ApplyPolicy, world: Path) -> None:
    """The last of two entries wins; only a directory over a directory keeps what is in it."""
    kinds = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE)
    for first in kinds:
        for second in kinds:
            name = f"x{first.decode()}{second.decode()}"
            data = tar_of(
                (member("target"), b"t"),
                member(name, first, linkname="target", mode=0o700),
                *([member(f"{name}/in")] if first == tarfile.DIRTYPE else []),
                member(name, second, linkname="target", mode=0o711),
            )
            unpack(data, world, policy)
            found = (world / "root" / name).lstat()
            expected = {
                tarfile.REGTYPE: stat.S_IFREG,
                tarfile.DIRTYPE: stat.S_IFDIR,
                tarfile.SYMTYPE: stat.S_IFLNK,
                tarfile.FIFOTYPE: stat.S_IFIFO,
                tarfile.LNKTYPE: stat.S_IFREG,
            }[second]
            assert stat.S_IFMT(found.st_mode) == expected
            kept = (world / "root" / name / "in").exists() if second == tarfile.DIRTYPE else False
            assert kept == (first == second == tarfile.DIRTYPE)


@BOTH
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (block(checksum=b"000000\0 ") + END, "wrong checksum"),
        (block(size=b"00000000005\0") + b"abc", "ends in the middle of the entry"),
        (pax(b"7 pa\n=x\n") + block() + END, "malformed"),
        (block() + END + b"trailing", "garbage follows the end"),
        (block(flag=b"Z") + END, "cannot be stored in a layer"),
        (block(b"a") + block(b"b")[:100], "middle of a header"),
    ],
)
def test_framing(data: bytes, message: str, policy: ApplyPolicy, world: Path) -> None:
    refused(data, world, policy, message)


@BOTH
def test_setuid_survives(policy: ApplyPolicy, world: Path) -> None:
    """Python's own `data` filter loses it."""
    unpack(tar_of(member("su", mode=0o6755), member("t", tarfile.DIRTYPE, mode=0o3777)), world, policy)
    assert stat.S_IMODE((world / "root/su").stat().st_mode) == 0o6755
    assert stat.S_IMODE((world / "root/t").stat().st_mode) == 0o3777


def test_a_bad_gzip_checksum_is_not_accepted(world: Path) -> None:
    data = bytearray(gzip.compress(tar_of((member("a"), b"x" * 5000))))
    data[-6] ^= 0xFF
    descriptor = os.open(world / "root", os.O_RDONLY)
    with pytest.raises(LayerError, match="checksum"):
        apply_layer(open_decompressed(io.BytesIO(data), "gzip"), descriptor, policy=OVERLAY)
    os.close(descriptor)


def test_a_bomb_is_stopped_while_it_unpacks(world: Path) -> None:
    bomb = gzip.compress(tar_of((member("zeros"), bytes(4 << 20))))
    limits = Limits(ratio=100, always_allowed_bytes=1 << 20)
    descriptor = os.open(world / "root", os.O_RDONLY)
    with pytest.raises(LayerError, match="expands to more than 100 times its size"):
        apply_layer(open_decompressed(io.BytesIO(bomb), "gzip", limits=limits), descriptor, policy=OVERLAY)
    os.close(descriptor)
    assert (world / "root/zeros").stat().st_size < 2 << 20


def test_counts_are_limited(world: Path) -> None:
    data = tar_of(*(member(f"f{number}") for number in range(20)))
    with pytest.raises(LayerError, match="more than 10 entries"):
        unpack(data, world, OVERLAY, Limits(entries=10))


@BOTH
def test_the_root_must_stay_a_directory(policy: ApplyPolicy, world: Path) -> None:
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
        refused(tar_of(member(".", kind, linkname=str(world / "outside"))), world, policy, "the root would be a")


@BOTH
def test_names_that_look_like_options_or_devices(policy: ApplyPolicy, world: Path) -> None:
    names = ["-rf", "--", "\n", "a\nb", "\x1b[31m", "con", "dev/full", "proc/self/mem", "\\", "*", "\xff"]
    unpack(tar_of(*((member(name), b"x") for name in names)), world, policy)
    for name in names:
        assert (world / "root" / name).read_text() == "x"
