"""The machine as a stage's beginning, on machines that are a few files in a temporary directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyoci.build.host import Machine, parse_host, refuse_shown, survey, toolchain_environment, toolchain_identity
from pyoci.build.steps import CopySource
from pyoci.errors import BuildError, UsageError
from pyoci.layer.entry import Entry, LayerPath, Upsert
from pyoci.layer.tree import Tree
from pyoci.sandbox.protocols import BindMount

DIRECTORIES = ("/usr", "/opt")
MERGED: Mapping[str, str | int] = {
    "bin": "-> usr/bin",
    "lib": "-> usr/lib",
    "usr/bin/cc": 0o755,
    "usr/lib/libc.so": 0o644,
    "usr/share/doc/x": 0o644,
    "usr/src/linux/Makefile": 0o644,
    "usr/etc/npmrc": 0o644,
    "usr/local/etc/npmrc": 0o644,
    "usr/local/go/bin/go": 0o755,
    "usr/local/bin/tool": 0o755,
    "usr/local/bin/private": 0o700,
    "usr/local/bin/link": "-> ../go/bin/go",
    "opt/sdk/bin/sdk": 0o755,
    "etc/alternatives/cc": "-> /usr/bin/gcc",
    "etc/ld.so.conf": 0o644,
    "etc/os-release": "-> ../usr/lib/os-release",
    "etc/ssl/certs/ca-certificates.crt": 0o644,
    "var/lib/dpkg/status": 0o644,
}
SECRETS = (
    *("etc/shadow", "etc/gshadow", "etc/passwd", "etc/sudoers", "etc/sudoers.d/me", "etc/machine-id"),
    *("etc/ssh/ssh_host_rsa_key", "etc/ssl/private/key.pem", "etc/krb5.keytab", "etc/docker/key.json", "etc/pip.conf"),
    *("etc/npmrc", "etc/netrc", "etc/gitconfig", "etc/apt/auth.conf", "etc/NetworkManager/system-connections/wifi"),
    *("etc/wireguard/wg0.conf", "etc/letsencrypt/live/x/privkey.pem", "etc/kubernetes/admin.conf", "etc/crypttab"),
    *("root/.netrc", "root/.ssh/id_rsa", "home/me/.docker/config.json", "run/secrets/token", "tmp/key"),
    *("var/lib/docker/x", "var/run/docker.sock", "srv/data", "mnt/disk", "boot/vmlinuz"),
)


def machine(root: Path, files: Mapping[str, str | int]) -> Path:
    for name, what in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, str):
            path.symlink_to(what.removeprefix("-> "))
        else:
            path.write_text(name)
            path.chmod(what)
    for directory in ("usr", "opt"):
        (root / directory).mkdir(exist_ok=True)
    return root


def shown(found: Machine) -> list[str]:
    return [mount.target for mount in found.mounts]


def test_programs_and_their_settings_are_shown_and_nothing_else(tmp_path: Path) -> None:
    found = survey(DIRECTORIES, root=machine(tmp_path, {**MERGED, **dict.fromkeys(SECRETS, 0o644)}))
    assert shown(found) == [
        *("/etc/alternatives", "/etc/ld.so.conf", "/etc/ssl/certs", "/opt/sdk", "/usr/bin", "/usr/lib"),
        *("/usr/local/bin/tool", "/usr/local/go", "/usr/share"),
    ]
    assert all(mount.access == "read-only" and mount.public for mount in found.mounts)
    assert [mount.source for mount in found.mounts] == [tmp_path / path.strip("/") for path in shown(found)]


def test_the_stage_has_directories_and_links_of_its_own(tmp_path: Path) -> None:
    found = survey(DIRECTORIES, epoch=7, root=machine(tmp_path, MERGED))
    entries = {entry.path: entry for entry in found.entries}
    assert entries[LayerPath("bin")] == Entry(LayerPath("bin"), "symlink", mode=0o777, mtime=7, link="usr/bin")
    assert entries[LayerPath("etc/os-release")].link == "../usr/lib/os-release"
    assert entries[LayerPath("usr/local/bin/link")].link == "../go/bin/go"
    modes = {"tmp": 0o1777, "root": 0o700, "home": 0o755, "run": 0o755, "usr/src": 0o755, "go/src": 0o1777}
    assert {path: entries[LayerPath(path)].mode for path in modes} == modes
    assert not {path for path in entries if f"/{path}" in shown(found)}
    passwd = entries[LayerPath("etc/passwd")]
    with found.open(passwd) as stream:
        assert len(stream.read()) == passwd.size
    parents = {path.rpartition("/")[0] for path in entries} - {""}
    assert parents <= {path for path, entry in entries.items() if entry.type == "dir"}
    assert [e.path for e in found.entries] == sorted(entries)


def test_directories_that_are_not_merged_into_usr(tmp_path: Path) -> None:
    found = survey(("/usr",), root=machine(tmp_path, {"bin/sh": 0o755, "lib/libc.so": 0o644, "usr/bin/cc": 0o755}))
    assert shown(found) == ["/bin", "/lib", "/usr/bin"]


def test_what_is_named_is_shown_whole(tmp_path: Path) -> None:
    root = machine(tmp_path, {**MERGED, "data/go/bin/go": 0o755})
    found = survey(("/data/go", "/usr/local/go"), root=root)
    assert shown(found) == [
        "/data/go",
        *("/etc/alternatives", "/etc/ld.so.conf", "/etc/ssl/certs", "/usr/local/go"),
    ]
    assert toolchain_environment(("/data/go",), root=root)[0].startswith("PATH=/go/bin:/data/go/bin:/usr/local/sbin:")
    with pytest.raises(UsageError, match="host:/data/rust: there is no such directory"):
        survey(("/data/rust",), root=root)


def test_variables(tmp_path: Path) -> None:
    default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with_go = toolchain_environment(DIRECTORIES, root=machine(tmp_path / "go", MERGED))
    assert with_go == (
        f"PATH=/go/bin:/usr/local/go/bin:{default}:/opt/sdk/bin",
        "GOPATH=/go",
        "GOTOOLCHAIN=local",
    )
    bare = toolchain_environment(("/usr",), root=machine(tmp_path / "bare", {"usr/bin/cc": 0o755}))
    assert bare == (f"PATH={default}",)


@pytest.mark.parametrize(
    ("value", "directories"),
    [
        ("host:", ("/usr", "/opt")),
        ("host:/usr,/opt/go/,/usr", ("/usr", "/opt/go")),
        ("host:/home/me/sdk", ("/home/me/sdk",)),
    ],
)
def test_values(value: str, directories: tuple[str, ...]) -> None:
    assert parse_host(value) == directories


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/etc/ssh", "/root", "/home", "/var", "/run/secrets", "/proc/1", "/tmp", "//", "//etc"]
)
def test_what_is_not_shown_to_anybody(path: str) -> None:
    with pytest.raises(UsageError, match="is not shown to steps"):
        parse_host(f"host:{path}")


@pytest.mark.parametrize("path", ["usr", "/usr,", "./x", "/usr/../etc"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(UsageError, match="is not an absolute path"):
        parse_host(f"host:{path}")


def identity(root: Path) -> str:
    return toolchain_identity(DIRECTORIES, survey(DIRECTORIES, root=root), root=root)


@pytest.mark.parametrize(
    "changed",
    ["usr/local/go/bin/go", "usr/local/bin/tool", "opt/sdk/bin/sdk", "var/lib/dpkg/status", "etc/ld.so.conf"],
)
def test_a_change_of_the_toolchain_is_seen(tmp_path: Path, changed: str) -> None:
    root = machine(tmp_path, MERGED)
    before = identity(root)
    assert identity(root) == before
    status = (root / changed).stat()
    (root / changed).write_bytes((root / changed).read_bytes()[::-1])
    os.utime(root / changed, ns=(status.st_atime_ns, status.st_mtime_ns))  # the time of the change itself stays
    assert identity(root) != before


def test_what_comes_and_goes_is_seen(tmp_path: Path) -> None:
    root = machine(tmp_path, MERGED)
    seen = [identity(root)]
    (root / "usr/bin/new").write_text("a program that no package has")
    seen.append(identity(root))
    (root / "usr/local/bin/link").unlink()
    seen.append(identity(root))
    (root / "usr/local/go/VERSION").write_text("go1")
    seen.append(identity(root))
    assert len(set(seen)) == 4


def test_without_packages_every_file_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, {**MERGED, "usr/share/doc/y": 0o644})
    (root / "var/lib/dpkg/status").unlink()
    before = identity(root)
    (root / "usr/share/doc/y").write_text("other")
    assert identity(root) != before


def test_files_of_the_machine_are_not_copied() -> None:
    entries = [
        Entry(LayerPath("bin"), "symlink", link="usr/bin"),
        Entry(LayerPath("usr"), "dir"),
        Entry(LayerPath("usr/local"), "dir"),
    ]

    class Layer:
        changes = tuple(Upsert(entry) for entry in entries)

        def open(self, entry: Entry) -> int:
            raise AssertionError(entry)

    tree = Tree().with_changes(Layer())
    mounts = (BindMount("/usr/bin", Path("/usr/bin")), BindMount("/usr/local/go", Path("/usr/local/go")))
    for path in ("/usr/bin/cc", "/bin/sh", "usr/local/go", "/usr/local/go/lib/*", "/bin/../bin/sh"):
        with pytest.raises(BuildError, match="is a file of this machine, of which no image is made"):
            refuse_shown(CopySource(1, path), tree, mounts)
    for path in ("/usr/local/bin/app", "/out", "/*", "/usr"):
        refuse_shown(CopySource(1, path), tree, mounts)
    refuse_shown(CopySource(1, "/usr/bin/cc"), tree, ())
