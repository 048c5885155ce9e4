"""Other programs read our layers and we read theirs: GNU tar, and Go's archive/tar, which docker and containerd use."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.compression import detect, open_decompressed
from pyoci.layer.entry import Entry, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.reader import read_archive, read_changes
from tests.builders import Item, device, directory, fifo, file, hardlink, make_layer, symlink

EVERYTHING: dict[str, Item] = {
    "plain": file(b"content", mode=0o4755, uid=1000, gid=2000, mtime=1_700_000_000),
    "d": directory(mode=0o1777, uid=3, mtime=5),
    "d/" + "n" * 120: file(b"x"),
    "/".join(["deep"] * 60) + "/file": file(b"deep"),
    "ünïcode/日本": file(b"names"),
    "large-ids": file(uid=3_000_000_000, gid=0xFFFFFFFE),
    "before-1970": file(mtime=-1000),
    "after-2242": file(mtime=9_000_000_000),
    "s": symlink("../" + "t" * 150),
    "h": hardlink("plain"),
    "null": device("char", 1, 3, mode=0o666),
    "disk": device("block", 253, 65537),
    "pipe": fifo(),
    "capable": file(b"bin", xattrs={"security.capability": bytes.fromhex("0100000200200000" + "00" * 12)}),
    "big": file(bytes(3_000_000)),
}

GO_PROGRAM = """
package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"
)

type entry struct {
	Name, Link, Digest string
	Type               string
	Mode, Uid, Gid     int64
	Size, Mtime        int64
	Major, Minor       int64
	Capability         string
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func read() {
	reader := tar.NewReader(os.Stdin)
	entries := []entry{}
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		check(err)
		sum := sha256.New()
		_, err = io.Copy(sum, reader)
		check(err)
		entries = append(entries, entry{
			Name: header.Name, Link: header.Linkname, Type: string(header.Typeflag), Mode: header.Mode,
			Uid: int64(header.Uid), Gid: int64(header.Gid), Size: header.Size, Mtime: header.ModTime.Unix(),
			Major: header.Devmajor, Minor: header.Devminor, Digest: hex.EncodeToString(sum.Sum(nil)),
			Capability: hex.EncodeToString([]byte(header.PAXRecords["SCHILY.xattr.security.capability"])),
		})
	}
	check(json.NewEncoder(os.Stdout).Encode(entries))
}

func write(format tar.Format) {
	writer := tar.NewWriter(os.Stdout)
	for _, header := range []tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o1755, Uid: 5},
		{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3, ModTime: time.Unix(1700000000, 0)},
		{Name: strings.Repeat("d/", 60) + "long", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("l", 90)},
		{Name: "h", Typeflag: tar.TypeLink, Linkname: "f"},
		{Name: "c", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
	} {
		header.Format = format
		if format == tar.FormatPAX {
			header.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "\\x00b"}
		}
		check(writer.WriteHeader(&header))
		if header.Size > 0 {
			_, err := writer.Write([]byte("abc"))
			check(err)
		}
	}
	check(writer.Close())
}

func main() {
	formats := map[string]tar.Format{"PAX": tar.FormatPAX, "GNU": tar.FormatGNU, "USTAR": tar.FormatUSTAR}
	if format, ok := formats[os.Args[1]]; ok {
		write(format)
	} else {
		read()
	}
}
"""
TYPES = {"file": "0", "hardlink": "1", "symlink": "2", "char": "3", "block": "4", "dir": "5", "fifo": "6"}


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program around Go's archive/tar, built without network."""
    directory_path = tmp_path_factory.mktemp("go")
    go = shutil.which("go") or "/usr/local/go/bin/go"
    (directory_path / "main.go").write_text(GO_PROGRAM)
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    command = [go, "build", "-o", "program", "main.go"]
    subprocess.run(command, cwd=directory_path, env=environment, check=True, timeout=500)
    return str(directory_path / "program")


@pytest.mark.needs_go
def test_go_reads_every_entry_as_it_was_meant(go_program: str) -> None:
    layer = make_layer(EVERYTHING)
    output = subprocess.run([go_program, "read"], input=layer.tar, capture_output=True, check=True, timeout=60).stdout
    index = index_layer(io.BytesIO(layer.blob), "gzip", diff_id=layer.diff_id)
    entries = [change.entry for change in index.changes if isinstance(change, Upsert)]
    found = json.loads(output)
    assert len(found) == len(entries)
    for read, entry in zip(found, entries, strict=True):
        slash = "/" if entry.type == "dir" else ""
        assert read["Name"] == entry.path + slash
        assert read["Type"] == TYPES[entry.type]
        assert (read["Mode"], read["Uid"], read["Gid"]) == (entry.mode, entry.uid, entry.gid)
        assert (read["Size"], read["Mtime"], read["Link"]) == (entry.size, entry.mtime, entry.link)
        assert (read["Major"], read["Minor"]) == entry.device
        assert read["Capability"] == entry.xattrs.get("security.capability", b"").hex()
        place = index.place(entry.path)
        if entry.type == "file":
            assert place is not None
            assert place.digest == f"sha256:{read['Digest']}"


@pytest.mark.needs_go
@pytest.mark.parametrize("format", ["PAX", "GNU", "USTAR"])
def test_we_read_what_go_writes(format: str, go_program: str) -> None:
    data = subprocess.run([go_program, format], capture_output=True, check=True, timeout=60).stdout
    entries = [entry for entry, _ in read_archive(io.BytesIO(data))]
    xattrs = {"user.a": b"\0b"} if format == "PAX" else {}
    assert [(entry.path, entry.type) for entry in entries] == [
        ("d", "dir"),
        ("f", "file"),
        ("d/" * 60 + "long", "symlink"),
        ("h", "hardlink"),
        ("c", "char"),
    ]
    assert all(entry.xattrs == xattrs for entry in entries)
    assert (entries[0].mode, entries[0].uid) == (0o1755, 5)
    assert (entries[1].size, entries[1].mtime) == (3, 1_700_000_000)
    assert entries[2].link == "l" * 90
    assert entries[4].device == (1, 3)


def listing(root: Path) -> list[tuple[str, str, int, int, str]]:
    found = []
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        target = str(path.readlink()) if path.is_symlink() else ""
        kind = f"{status.st_mode:o}"
        mtime = 0 if path.is_dir() and not path.is_symlink() else int(status.st_mtime)
        size = status.st_size if path.is_file() else 0
        found.append((path.relative_to(root).as_posix(), kind, size, mtime, target))
    return found


def unpack(data: bytes, root: Path) -> None:
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    apply_layer(io.BytesIO(data), descriptor, policy=ApplyPolicy("merge", "record", "record"))
    os.close(descriptor)


def test_gnu_tar_unpacks_our_layer_as_we_do(tmp_path: Path) -> None:
    left_out = ("null", "disk", "before-1970", "after-2242", "capable")  # need root, or make GNU tar warn
    kept = {name: item for name, item in EVERYTHING.items() if name not in left_out}
    data = make_layer(kept).tar
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    run = subprocess.run(
        ["tar", "--extract", "--preserve-permissions", "--no-same-owner", "-C", str(theirs)],
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
    )
    assert run.stderr == b""
    unpack(data, tmp_path / "ours")
    assert listing(tmp_path / "ours") == listing(theirs)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, sparse ones with many holes among them."""
    root = tmp_path_factory.mktemp("tree")
    (root / "d" / ("n" * 110)).mkdir(parents=True)
    (root / "d" / ("n" * 110) / "file").write_bytes(b"deep")
    (root / "empty").write_bytes(b"")
    (root / "text").write_bytes(b"line\n" * 3000)
    (root / "text").chmod(0o4750)
    (root / "link").symlink_to("l" * 120)
    os.link(root / "text", root / "again")
    os.mkfifo(root / "pipe")
    with (root / "sparse").open("wb") as stream:
        for number in range(50):
            stream.seek(number * 200_000 + 4096)
            stream.write(b"data %d" % number)
        stream.truncate(12_000_000)
    with (root / "hole").open("wb") as stream:
        stream.truncate(1_000_000)
    for path in root.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return root


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=oldgnu"],
        ["--format=posix"],
        ["--format=posix", "--pax-option=comment=global,exthdr.name=%d/x"],
        ["--format=gnu", "--sparse"],
        ["--format=oldgnu", "--sparse"],
        ["--format=posix", "--sparse", "--sparse-version=0.0"],
        ["--format=posix", "--sparse", "--sparse-version=0.1"],
        ["--format=posix", "--sparse", "--sparse-version=1.0"],
        ["--format=posix", "--blocking-factor=200"],
    ],
    ids=" ".join,
)
def test_we_unpack_what_gnu_tar_writes(options: list[str], tree: Path, tmp_path: Path) -> None:
    command = ["tar", "--create", *options, "--numeric-owner", "-C", str(tree), "."]
    data = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    unpack(data, tmp_path / "ours")
    assert listing(tmp_path / "ours") == listing(tree)
    for name in ("sparse", "hole", "text"):
        assert (tmp_path / "ours" / name).read_bytes() == (tree / name).read_bytes()
    assert (tmp_path / "ours/again").samefile(tmp_path / "ours/text")
    if "--sparse" in options:
        assert (tmp_path / "ours/sparse").stat().st_blocks < 2000
        contents = {str(entry.path): body.read() for entry, body in read_archive(io.BytesIO(data)) if body}
        assert contents["sparse"] == (tree / "sparse").read_bytes()


def test_old_archives_of_gnu_tar(tree: Path, tmp_path: Path) -> None:
    for format in ("v7", "ustar"):
        command = ["tar", "--create", f"--format={format}", "-C", str(tree), "text", "again", "empty", "pipe"]
        data = subprocess.run(command, capture_output=True, timeout=60).stdout
        entries: list[Entry] = [
            change.entry for change, _ in read_changes(io.BytesIO(data)) if isinstance(change, Upsert)
        ]
        expected = ["text", "again", "empty"] + (["pipe"] if format == "ustar" else [])
        assert [entry.path for entry in entries] == expected


@pytest.mark.parametrize("program", ["gzip", "bzip2", "xz", "zstd"])
def test_compressors_of_the_machine(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    data = make_layer({"a": b"content" * 5000}).tar
    packed = subprocess.run([program, "-c"], input=data, capture_output=True, check=True, timeout=60).stdout
    compression, stream = detect(io.BytesIO(packed))
    assert open_decompressed(stream, compression).read() == data
