"""What looks into images, judged by those whose business it is: docker, a registry, rpm, dpkg, GNU tar, pip."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from pyoci.content import MemoryContent
from pyoci.content.layout import DirectoryLayout
from pyoci.digest import DiffID, sha256_digest
from pyoci.image import media_types
from pyoci.inspection.package_lists import dpkg_packages, python_package
from pyoci.inspection.rpm_database import rpm_packages
from tests.builders import BuiltLayer, make_image
from tests.integration.real.docker import RealDocker
from tests.integration.real.registry import real_registry
from tests.integration.registry.command_line import CommandLine

FIELDS = "{{.CreatedBy}}|{{.Size}}|{{.Comment}}"


@pytest.mark.needs_docker
@pytest.mark.needs_root
def test_history_is_what_docker_says(tmp_path: Path, docker: RealDocker, busybox_tar: Path) -> None:
    pyoci = CommandLine(tmp_path)
    (tmp_path / "base.tar").write_bytes(busybox_tar.read_bytes())
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\n"
        "ADD base.tar /\n"
        "ENV A=1\n"
        "RUN echo 12345 >/file && ln /file /hard && mkdir /dir && echo 1 >/dir/x\n"
        "RUN rm /file && chmod 600 /dir/x && dd if=/dev/zero of=/sparse bs=1 count=1 seek=9999\n"
        "WORKDIR /srv\n"
        'CMD ["sh"]\n'
    )
    pyoci.ok("build", "-q", "-t", "app:1", ".")
    pyoci.ok("save", "-o", "app.tar", "app:1")
    docker.load(tmp_path / "app.tar")
    judged = docker("history", "--no-trunc", "--human=false", "--format", FIELDS, "app:1").splitlines()
    found = pyoci.ok("history", "--no-trunc", "--human=false", "--format", FIELDS, "app:1").splitlines()
    # On overlayfs docker counts what links point to as well, by the length of its name; the base has links.
    files = json.loads(pyoci.ok("ls", "--recursive", "--json", "app:1"))
    links = sum(len(each["link"]) for each in files if each["type"] == "symlink")
    assert links > 100
    words, size, comment = found[-1].split("|")
    assert [*found[:-1], f"{words}|{int(size) + links}|{comment}"] == judged
    whole = json.loads(pyoci.ok("size", "--json", "app:1"))["size"]
    assert whole + links == docker.inspect("app:1")["Size"]
    assert json.loads(pyoci.ok("inspect", "app:1"))[0]["Size"] == whole
    judged = docker("history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "app:1").splitlines()
    assert pyoci.ok("history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "app:1").splitlines() == judged


@pytest.mark.needs_registry
def test_an_image_is_looked_into_where_it_is(tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    (tmp_path / "large").write_bytes(os.urandom(2_000_000))
    (tmp_path / "small").write_bytes(b"small\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY large /\nCOPY small /dir/\n")
    with real_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/app:1"
        pyoci.ok("build", "-q", "--preflight=off", "-t", name, "--push", ".")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        other = CommandLine(elsewhere)
        assert other.ok("cat", name, "/dir/small") == "small"
        blobs = elsewhere / "store" / "blobs" / "sha256"
        assert max(path.stat().st_size for path in blobs.iterdir()) < 10_000, "the large layer was not needed"
        assert "2MB compressed" in other.ok("history", name)
        assert other.ok("ls", "-R", name) == "/dir\n/dir/small\n/large"
        assert other.ok("history", "--format", "{{.Size}}", name).split() == ["6B", "2MB"]
        assert other("check", name).returncode == 0
        assert other.ok("ls", f"{registry.host}/team/app") == "1"


@pytest.mark.needs_rpm
def test_rpm_says_the_same_of_its_database(tmp_path: Path) -> None:
    spec = tmp_path / "sample.spec"
    for name, epoch in (("alpha", "Epoch: 4\n"), ("beta", "")):
        spec.write_text(
            f"Name: {name}\nVersion: 1.2~rc1\nRelease: 3\n{epoch}Summary: s\nLicense: MIT\nBuildArch: noarch\n"
            "%description\ntext\n%files\n"
        )
        subprocess.run(
            ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", spec], check=True, capture_output=True, timeout=120
        )
    rpm = ["rpm", "--dbpath", str(tmp_path / "db")]
    subprocess.run([*rpm, "--initdb"], check=True, capture_output=True, timeout=60)
    packages = sorted((tmp_path / "RPMS" / "noarch").iterdir())
    subprocess.run([*rpm, "--install", "--justdb", "--nodeps", *packages], check=True, capture_output=True, timeout=60)
    form = "%{NAME}.%{ARCH} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n"
    judged = subprocess.run(
        [*rpm, "-qa", "--qf", form], check=True, capture_output=True, text=True, timeout=60
    ).stdout.splitlines()
    found = rpm_packages((tmp_path / "db" / "rpmdb.sqlite").read_bytes())
    assert len(found) == 2
    assert sorted(f"{name} {version}" for name, version in found.items()) == sorted(judged)


def test_dpkg_says_the_same_of_its_database() -> None:
    status = Path("/var/lib/dpkg/status")
    if not status.exists():
        pytest.skip("this is no Debian")
    form = "${db:Status-Status} ${Package}:${Architecture} ${Version}\n"
    judged = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    installed = dict(line.split(" ")[1:] for line in judged.splitlines() if line.startswith("installed "))
    found = dpkg_packages(status.read_text())
    assert len(found) > 50
    assert found == installed


def test_python_says_the_same_of_what_is_installed() -> None:
    judged: dict[str, str] = {}
    found: dict[str, str] = {}
    for package in importlib.metadata.distributions(path=[sysconfig.get_paths()["purelib"]]):
        directory = getattr(package, "_path", None)
        if directory is not None and directory.name.endswith((".dist-info", ".egg-info")):
            name = package.metadata["Name"].replace("_", "-").replace(".", "-").lower()
            judged[name] = package.version
            known = python_package(directory.name)
            assert known is not None, directory
            found[known[0]] = known[1]
    assert len(judged) > 10
    assert found == judged


def test_a_sparse_file_that_gnu_tar_wrote_is_whole(tmp_path: Path) -> None:
    content = bytearray(3_000_000)
    content[1_000_000:1_000_005] = b"first"
    content[2_999_995:] = b"last!"
    with (tmp_path / "sparse").open("wb") as file:
        for at, data in ((1_000_000, b"first"), (2_999_995, b"last!")):
            file.seek(at)
            file.write(data)
    subprocess.run(["ln", "sparse", "other"], cwd=tmp_path, check=True, timeout=30)
    for form in ("gnu", "posix"):
        raw = subprocess.run(
            ["tar", "--sparse", f"--format={form}", "--create", "sparse", "other"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        assert len(raw) < 100_000
        memory = MemoryContent()
        descriptor = memory.add(raw, media_types.LAYER)
        layer = BuiltLayer(raw, descriptor, DiffID(sha256_digest(raw)))
        content_of, image = make_image([layer])
        layout = DirectoryLayout(tmp_path / form)
        for part in (image.manifest.value.config, descriptor, image.manifest.descriptor()):
            layout.put(part, content_of.open(part))
        layout.add_roots([image.manifest.descriptor()])
        pyoci = CommandLine(tmp_path)
        command = pyoci.command("cat", f"oci-layout:{form}", "sparse", "/other")
        done = subprocess.run(command, cwd=tmp_path, env=pyoci.environment(), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout == bytes(content) * 2
