"""What pyoci writes is judged by those who read it, and what they write is read by pyoci.

docker 20.10 has the classic image store, containerd the one of docker 29; podman, skopeo and umoci are third opinions.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.content import ContentSource, MemoryContent
from pyoci.content.archive import open_archive
from pyoci.content.layout import DirectoryLayout
from pyoci.errors import DigestMismatch
from pyoci.export.directory import write_root_directory
from pyoci.export.docker_archive import write_docker_archive
from pyoci.export.oci import write_oci_archive, write_oci_layout
from pyoci.export.rootfs import write_root_tar
from pyoci.export.roots import NamedRoot
from pyoci.image import Descriptor, Image, Index, decode_config, decode_manifest, encode_index, media_types
from pyoci.image.media_types import Compression
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from tests.builders import check_image, make_image, make_layer
from tests.integration.judged import (
    FILES,
    GREETING,
    HOST,
    LONG,
    host_image,
    host_tree,
    listing_of_directory,
    listing_of_tree,
    other_image,
)
from tests.integration.real.containerd import RealContainerd
from tests.integration.real.docker import RealDocker
from tests.integration.real.podman import RealPodman
from tests.integration.real.programs import output, run

ELSEWHERE = Platform("linux", "s390x")


@pytest.fixture(scope="module")
def content() -> MemoryContent:
    return MemoryContent()


@pytest.fixture(scope="module")
def image(content: MemoryContent) -> Image:
    return host_image(content=content)[1]


@pytest.fixture(scope="module")
def index(image: Image, content: MemoryContent) -> Descriptor:
    """The image for this machine, second, and one for another."""
    other = other_image(ELSEWHERE, content)
    entries = tuple(one.manifest.descriptor(platform=one.platform) for one in (other, image))
    return content.add(encode_index(Index(entries)).raw, media_types.INDEX)


def root_of(target: Image | Descriptor, *names: str) -> NamedRoot:
    descriptor = target.manifest.descriptor() if isinstance(target, Image) else target
    return NamedRoot(descriptor, tuple(parse_reference(name) for name in names))


def docker_archive(path: Path, content: MemoryContent, *roots: NamedRoot) -> Path:
    with path.open("wb") as out:
        write_docker_archive(roots, content, out, platform=HOST)
    return path


def oci_archive(path: Path, content: MemoryContent, *roots: NamedRoot) -> Path:
    with path.open("wb") as out:
        write_oci_archive(roots, content, out)
    return path


# docker load, classic store


@pytest.mark.needs_docker
class TestDocker:
    @pytest.mark.parametrize("compression", ["gzip", "none"])
    def test_it_loads_and_runs(self, docker: RealDocker, tmp_path: Path, compression: Compression) -> None:
        content, image = host_image(compression)
        said = docker.load(docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        assert said == "Loaded image: judged:1\n"
        assert docker.run("judged:1") == GREETING
        found = docker.inspect("judged:1")
        assert found["Id"] == image.image_id
        assert found["RootFS"]["Layers"] == [layer.diff_id for layer in image.layers]

    def test_the_config_is_the_one_that_was_given(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        found = docker.inspect("judged:1")
        config, ours = found["Config"], image.config.value.config
        assert (config["Env"], config["Entrypoint"], config["Cmd"]) == (
            list(ours.env),
            list(ours.entrypoint or ()),
            list(ours.cmd or ()),
        )
        assert (config["WorkingDir"], config["StopSignal"]) == (ours.working_dir, ours.stop_signal)
        assert (config["Labels"], config["ExposedPorts"], config["Volumes"]) == (
            ours.labels,
            {"80/tcp": {}},
            {"/data": {}},
        )
        assert config["Healthcheck"] == {
            "Test": ["CMD", "/bin/busybox", "true"],
            "Interval": 30_000_000_000,
            "Retries": 3,
        }
        assert (found["Created"], found["Author"], found["Architecture"]) == (
            "2024-01-01T00:00:00Z",
            "tests",
            HOST.architecture,
        )

    def test_the_file_system_is_the_merged_one(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        for name, data in FILES.items():
            assert docker.run("judged:1", f'cat "/{name}"').encode() == data
        script = (
            "stat -c '%n %a %u:%g %F' /home/user /home/user/.profile /etc/message /usr/bin/elevated /tmp /run/pipe;"
            "stat -c %h /bin/second-name; ls -d /etc/doomed /doomed /replaced/old 2>/dev/null;"
            "readlink /usr/bin/link-up;"
            "ls /replaced; stat -c %Y /etc/message"
        )
        assert docker.run("judged:1", script).splitlines() == [
            "/home/user 700 1000:1000 directory",
            "/home/user/.profile 600 1000:1000 regular empty file",
            "/etc/message 640 0:1000 regular file",
            "/usr/bin/elevated 4755 0:0 regular file",
            "/tmp 1777 0:0 directory",
            "/run/pipe 600 0:0 fifo",
            "2",
            "../../etc/message",
            "new",
            "1000000000",
        ]

    def test_all_names_and_images_are_loaded(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        other = make_image([make_layer({"a": b"x"})], content=content)[1]
        roots = [root_of(image, "judged:1", "localhost:5000/team/judged:2"), root_of(other, "other")]
        said = docker.load(docker_archive(tmp_path / "x.tar", content, *roots))
        assert sorted(said.splitlines()) == [
            "Loaded image: judged:1",
            "Loaded image: localhost:5000/team/judged:2",
            "Loaded image: other:latest",
        ]
        assert docker.inspect("other")["Id"] == other.image_id

    def test_an_image_without_a_name_is_loaded_by_id(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        said = docker.load(docker_archive(tmp_path / "x.tar", content, root_of(image)))
        assert said == f"Loaded image ID: {image.image_id}\n"
        assert docker.run(image.image_id) == GREETING

    def test_of_several_platforms_its_own_is_loaded(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image, index: Descriptor
    ) -> None:
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(index, "judged:1")))
        assert docker.inspect("judged:1")["Id"] == image.image_id
        assert docker.run("judged:1") == GREETING

    def test_it_takes_the_archive_from_a_pipe(
        self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        data = docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")).read_bytes()
        assert docker("load", input=gzip.compress(data, 1)) == "Loaded image: judged:1\n"

    def test_an_image_without_layers_is_loaded(self, docker: RealDocker, tmp_path: Path) -> None:
        content, empty = make_image([])
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(empty, "empty:1")))
        assert docker.inspect("empty:1")["Id"] == empty.image_id

    def test_a_layer_twice_in_a_row_is_loaded(self, docker: RealDocker, tmp_path: Path) -> None:
        layer = make_layer({"a": b"x"})
        content, twice = make_image([layer, layer])
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(twice, "twice:1")))
        assert docker.inspect("twice:1")["RootFS"]["Layers"] == [layer.diff_id] * 2


# containerd's store


@pytest.mark.needs_containerd
class TestContainerd:
    @pytest.mark.parametrize("write", [docker_archive, oci_archive])
    def test_it_imports_and_runs(
        self,
        containerd: RealContainerd,
        tmp_path: Path,
        content: MemoryContent,
        image: Image,
        write: Callable[..., Path],
    ) -> None:
        containerd.load(write(tmp_path / "x.tar", content, root_of(image, "judged:1", "ghcr.io/team/judged:2")))
        assert containerd.images() == {
            "docker.io/library/judged:1": image.digest,
            "ghcr.io/team/judged:2": image.digest,
        }
        assert containerd.run("docker.io/library/judged:1") == GREETING

    def test_zstd_layers_are_unpacked(self, containerd: RealContainerd, tmp_path: Path) -> None:
        content, image = host_image("zstd")
        containerd.load(oci_archive(tmp_path / "x.tar", content, root_of(image, "judged:zstd")))
        assert containerd.run("docker.io/library/judged:zstd") == GREETING

    @pytest.mark.parametrize("write", [docker_archive, oci_archive])
    def test_all_platforms_are_stored(
        self,
        containerd: RealContainerd,
        tmp_path: Path,
        content: MemoryContent,
        index: Descriptor,
        write: Callable[..., Path],
    ) -> None:
        containerd.load(write(tmp_path / "x.tar", content, root_of(index, "judged:all")), "--all-platforms")
        assert containerd.images() == {"docker.io/library/judged:all": index.digest}
        listed = containerd("images", "list", "name==docker.io/library/judged:all")
        assert str(ELSEWHERE) in listed
        assert str(HOST) in listed
        assert containerd.run("docker.io/library/judged:all") == GREETING

    def test_its_own_export_is_read(
        self, containerd: RealContainerd, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        containerd.load(oci_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        containerd("images", "export", tmp_path / "y.tar", "docker.io/library/judged:1")
        with open_archive(tmp_path / "y.tar", scratch=tmp_path) as archive:
            ((names, root),) = archive.images()
            assert (names, root.digest) == (("docker.io/library/judged:1",), image.digest)
            check_image(image, archive)


# podman, skopeo, umoci


@pytest.mark.needs_podman
class TestPodman:
    @pytest.mark.parametrize("write", [docker_archive, oci_archive])
    def test_it_loads_and_runs(
        self, podman: RealPodman, tmp_path: Path, content: MemoryContent, image: Image, write: Callable[..., Path]
    ) -> None:
        said = podman.load(write(tmp_path / "x.tar", content, root_of(image, "docker.io/library/judged:1")))
        name = said.rpartition(" ")[2].strip()
        found = podman.inspect(name)
        assert f"sha256:{found['Id']}" == image.image_id
        assert podman.run(name) == GREETING
        if write is docker_archive:
            assert found["RepoTags"] == ["docker.io/library/judged:1"]

    @pytest.mark.parametrize("format", ["docker-archive", "oci-archive", "oci-dir"])
    def test_what_it_saves_is_read(
        self, podman: RealPodman, tmp_path: Path, content: MemoryContent, image: Image, format: str
    ) -> None:
        podman.load(docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        saved = podman.save(tmp_path / "saved", "docker.io/library/judged:1", format=format)
        source = DirectoryLayout(saved) if format == "oci-dir" else open_archive(saved, scratch=tmp_path)
        ((names, root),) = source.images()
        assert names in (("docker.io/library/judged:1",), ())
        again = image_of(source, root)
        check_image(again, source)
        assert again.image_id == image.image_id


@pytest.mark.needs_skopeo
class TestSkopeo:
    def where(self, transport: str, tmp_path: Path, content: MemoryContent, root: NamedRoot) -> str:
        """What is written for a transport, as skopeo names it."""
        match transport:
            case "docker-archive":
                return f"docker-archive:{docker_archive(tmp_path / 'x.tar', content, root)}"
            case "oci-archive":
                return f"oci-archive:{oci_archive(tmp_path / 'x.tar', content, root)}:1"
            case _:
                write_oci_layout([root], content, tmp_path / "layout")
                return f"oci:{tmp_path / 'layout'}:1"

    @pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
    def test_it_inspects_the_same_image(
        self, tmp_path: Path, content: MemoryContent, image: Image, transport: str
    ) -> None:
        where = self.where(transport, tmp_path, content, root_of(image, "judged:1"))
        config = output(["skopeo", "inspect", "--config", "--raw", where])
        assert config.encode() == image.config.raw
        if transport != "docker-archive":
            assert output(["skopeo", "inspect", "--raw", where]).encode() == image.manifest.raw

    @pytest.mark.parametrize("target", ["docker-archive", "oci-archive", "oci"])
    @pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
    def test_what_it_copies_is_read_again(
        self, tmp_path: Path, content: MemoryContent, image: Image, transport: str, target: str
    ) -> None:
        where = self.where(transport, tmp_path, content, root_of(image, "judged:1"))
        copied = tmp_path / "copied"
        name = "docker.io/library/judged:2"
        output(["skopeo", "copy", "--insecure-policy", "--tmpdir", tmp_path, where, f"{target}:{copied}:{name}"])
        source = DirectoryLayout(copied) if target == "oci" else open_archive(copied, scratch=tmp_path)
        assert [names for names, _ in source.images()] == [(name,)]
        again = image_of(source, source.find("judged:2"))
        check_image(again, source)
        if (transport, target) in (("docker-archive", "oci-archive"), ("docker-archive", "oci")):
            # skopeo takes it for Docker's schema 2 and writes the config anew.
            assert again.config.value.config.env == image.config.value.config.env
            assert again.config.value.diff_ids == image.config.value.diff_ids
        else:
            assert again.image_id == image.image_id

    def test_a_layout_can_hold_several_tags(self, tmp_path: Path, content: MemoryContent, image: Image) -> None:
        other = make_image([make_layer({"a": b"x"})], content=content)[1]
        write_oci_layout([root_of(image, "judged:1")], content, tmp_path)
        write_oci_layout([root_of(other, "judged:2")], content, tmp_path)
        for tag, one in (("1", image), ("2", other)):
            assert output(["skopeo", "inspect", "--raw", f"oci:{tmp_path}:{tag}"]).encode() == one.manifest.raw

    def test_all_platforms_of_an_index_are_copied(
        self, tmp_path: Path, content: MemoryContent, index: Descriptor
    ) -> None:
        where = self.where("oci-archive", tmp_path, content, root_of(index, "judged:1"))
        output(
            ["skopeo", "copy", "--all", "--insecure-policy", "--tmpdir", tmp_path, where, f"oci:{tmp_path / 'all'}:1"]
        )
        assert DirectoryLayout(tmp_path / "all").find("1").digest == index.digest


@pytest.mark.needs_umoci
@pytest.mark.needs_root
class TestUmoci:
    @pytest.fixture
    def unpacked(self, tmp_path: Path, content: MemoryContent, image: Image) -> Path:
        write_oci_layout([root_of(image, "judged:1")], content, tmp_path / "layout")
        output(["umoci", "unpack", "--image", f"{tmp_path / 'layout'}:1", tmp_path / "bundle"])
        return tmp_path / "bundle" / "rootfs"

    def test_it_unpacks_what_the_tree_shows(self, unpacked: Path, content: MemoryContent, image: Image) -> None:
        ours, theirs = listing_of_tree(host_tree(image, content)), listing_of_directory(unpacked)
        assert ours.keys() == theirs.keys()
        assert {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]} == {}

    def test_the_root_tar_unpacks_to_the_same(
        self, unpacked: Path, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        with (tmp_path / "root.tar").open("wb") as out:
            write_root_tar(host_tree(image, content), out, scratch=tmp_path)
        (tmp_path / "by-tar").mkdir()
        output(
            ["tar", "--extract", "--same-owner", "--file", tmp_path / "root.tar", "--directory", tmp_path / "by-tar"]
        )
        assert listing_of_directory(tmp_path / "by-tar") == listing_of_directory(unpacked)
        assert (tmp_path / "by-tar/bin/busybox").stat().st_nlink == 2

    def test_the_root_directory_is_the_same_but_for_owners(
        self, unpacked: Path, tmp_path: Path, content: MemoryContent, image: Image
    ) -> None:
        write_root_directory(host_tree(image, content), tmp_path / "out", scratch=tmp_path)

        def without_owners(root: Path) -> dict[str, tuple[object, ...]]:
            return {name: (*found[:2], *found[4:]) for name, found in listing_of_directory(root).items()}

        assert without_owners(tmp_path / "out") == without_owners(unpacked)
        assert (tmp_path / "out/bin/busybox").stat().st_nlink == 2
        assert run([tmp_path / "out/bin/busybox", "echo", "works"]).stdout == b"works\n"
        assert (tmp_path / "out" / LONG).read_bytes() == FILES[LONG]


# what docker itself saves


def image_of(source: ContentSource, root: Descriptor) -> Image:
    manifest = decode_manifest(source.open(root).read(), media_type=root.media_type)
    return Image.of(manifest, decode_config(source.open(manifest.value.config).read()))


@pytest.mark.needs_docker
class TestDockerSave:
    @pytest.fixture
    def loaded(self, docker: RealDocker, tmp_path: Path, content: MemoryContent, image: Image) -> RealDocker:
        docker.load(docker_archive(tmp_path / "x.tar", content, root_of(image, "judged:1")))
        return docker

    def test_what_it_saves_is_read(self, loaded: RealDocker, tmp_path: Path, image: Image) -> None:
        with open_archive(loaded.save(tmp_path / "saved.tar", "judged:1"), scratch=tmp_path) as archive:
            ((names, root),) = archive.images()
            assert names == ("docker.io/library/judged:1",)
            again = image_of(archive, root)
            check_image(again, archive)
            assert again.config.raw == image.config.raw

    def test_what_it_saves_compressed_is_read(self, loaded: RealDocker, tmp_path: Path, image: Image) -> None:
        saved = loaded.save(tmp_path / "saved.tar", "judged:1")
        for program, suffix in (("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz")):
            subprocess.run([program, "--keep", "-1", saved], check=True, timeout=120)
            with open_archive(saved.with_name(f"saved.tar.{suffix}"), scratch=tmp_path) as archive:
                check_image(image_of(archive, archive.find("judged:1")), archive)

    def test_images_that_share_layers_are_read(self, loaded: RealDocker, tmp_path: Path, image: Image) -> None:
        """A container's changes become a layer on top: docker save links what both images have."""
        loaded("run", "--network=host", "--name", "changed", "judged:1", "echo more > /etc/more")
        loaded("commit", "changed", "child:1")
        loaded("rm", "changed")
        loaded("tag", "judged:1", "judged:again")
        saved = loaded.save(tmp_path / "saved.tar", "judged:1", "judged:again", "child:1")
        with open_archive(saved, scratch=tmp_path) as archive:
            by_name = {name: root for names, root in archive.images() for name in names}
            assert set(by_name) == {f"docker.io/library/{name}" for name in ("judged:1", "judged:again", "child:1")}
            assert by_name["docker.io/library/judged:1"] == by_name["docker.io/library/judged:again"]
            child = image_of(archive, archive.find("child:1"))
            check_image(child, archive)
            assert [layer.diff_id for layer in child.layers[:2]] == [layer.diff_id for layer in image.layers]

    def test_what_pyoci_made_of_it_loads_again(self, loaded: RealDocker, tmp_path: Path) -> None:
        saved = loaded.save(tmp_path / "saved.tar", "judged:1")
        loaded.remove_images()
        with open_archive(saved, scratch=tmp_path) as archive, (tmp_path / "again.tar").open("wb") as out:
            write_docker_archive(
                [NamedRoot(archive.find(), (parse_reference("again:1"),))], archive, out, platform=HOST
            )
        loaded.load(tmp_path / "again.tar")
        assert loaded.run("again:1") == GREETING

    def test_what_it_refuses_of_a_changed_archive_pyoci_refuses_too(
        self, loaded: RealDocker, tmp_path: Path, image: Image
    ) -> None:
        """Both prove layers by their diff IDs."""
        content, other = host_image()
        swapped = {**json.loads(image.manifest.raw), "layers": list(reversed(json.loads(image.manifest.raw)["layers"]))}
        root = content.add(json.dumps(swapped).encode(), media_types.MANIFEST)
        assert other.digest == image.digest
        archive = docker_archive(tmp_path / "swapped.tar", content, root_of(root, "swapped:1"))
        loaded.remove_images()
        assert "invalid diffID for layer 0" in loaded.refused("load", "--input", archive)
        with open_archive(archive, scratch=tmp_path) as opened, pytest.raises(DigestMismatch):
            check_image(image_of(opened, opened.find()), opened)
