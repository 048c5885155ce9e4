"""Other people's clients, and our own, at `pyoci serve`: they get what the store has, and it has what they push."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.content import copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.content.names import with_name
from pyoci.image import Index, encode_index
from pyoci.reference import parse_reference
from pyoci.store import Store
from tests.integration.real.containerd import RealContainerd
from tests.integration.real.docker import RealDocker
from tests.integration.real.podman import RealPodman
from tests.integration.real.programs import output
from tests.integration.real.registry import Certificates, make_certificates
from tests.integration.registry.command_line import CommandLine
from tests.integration.serve.world import GoModule, ServeProcess, go_program, serve_process
from tests.registry_world import sample_image

CRANE = GoModule("github.com/google/go-containerregistry", "v0.20.6", "cmd/crane")
IMAGE = "team/app:1"


@pytest.fixture
def pyoci(tmp_path: Path) -> CommandLine:
    """A store with an image that has a shell, and an index of two images."""
    found = CommandLine(tmp_path / "publisher")
    found.directory.mkdir()
    context = tmp_path / "context"
    context.mkdir()
    for name in ("sh", "cat"):
        shutil.copy(shutil.which("busybox") or "/bin/busybox", context / name)
    (context / "motd").write_text("base\n")
    (context / "Dockerfile").write_text('FROM scratch\nCOPY sh cat /bin/\nCOPY motd /etc/\nCMD ["sh"]\n')
    found.ok("build", "-t", IMAGE, str(context))
    images = sample_image(5000, 100), sample_image(5000, 300, seed=4)
    with Store(found.directory / "store") as store:
        for image in images:
            copy_graph(image.root, image.content, store)
        index = encode_index(Index(tuple(image.root for image in images)))
        store.put_document(index)
        store.tags.set(parse_reference("team/many:1"), index.descriptor())
    return found


@pytest.fixture
def server(pyoci: CommandLine) -> Iterator[ServeProcess]:
    with serve_process(pyoci, "--write", "--delete") as running:
        yield running
        assert "internal error" not in running.log.read_text()


def digest_in_store(pyoci: CommandLine, name: str) -> str:
    with Store(pyoci.directory / "store") as store:
        found = store.tags.get(parse_reference(name))
    assert found is not None, f"{name} is not in the store"
    return found.digest


def test_pyoci(pyoci: CommandLine, server: ServeProcess, tmp_path: Path) -> None:
    other = CommandLine(tmp_path / "other")
    other.directory.mkdir()
    assert other.ok("pull", f"{server.address}/{IMAGE}") == digest_in_store(pyoci, IMAGE)
    assert other.ok("run", "--rm", f"{server.address}/{IMAGE}", "cat", "/etc/motd") == "base"
    other.ok("tag", f"{server.address}/{IMAGE}", f"{server.address}/team/app:2")
    pushed = other.ok("push", f"{server.address}/team/app:2")
    assert digest_in_store(pyoci, "team/app:2") in pushed
    assert other.ok("ls", f"{server.address}/team/app").split() == ["1", "2"]
    copied = other.ok("copy", f"{server.address}/team/many:1", f"{server.address}/ghcr.io/other/many:3")
    assert copied == digest_in_store(pyoci, "team/many:1") == digest_in_store(pyoci, "ghcr.io/other/many:3")
    other.ok("delete", f"{server.address}/team/app:2")
    assert other.ok("ls", f"{server.address}/team/app").split() == ["1"]


def test_pyoci_in_chunks_from_a_build_and_as_a_mirror(pyoci: CommandLine, server: ServeProcess, tmp_path: Path) -> None:
    other = CommandLine(tmp_path / "other")
    other.directory.mkdir()
    config = other.directory / "config.toml"
    config.write_text(
        f'[host."{server.address}"]\nchunk-size = "64KiB"\n[registry."docker.io"]\nmirrors = ["{server.address}"]\n'
    )
    name = f"{server.address}/from/build:1"
    other.ok("build", "--config", str(config), "--push", "-t", name, str(tmp_path / "context"))
    assert digest_in_store(pyoci, "from/build:1") == digest_in_store(pyoci, IMAGE)  # the same inputs, the same digest
    assert other.ok("pull", "--config", str(config), IMAGE) == digest_in_store(pyoci, IMAGE)


@pytest.mark.needs_skopeo
def test_skopeo(pyoci: CommandLine, server: ServeProcess, tmp_path: Path) -> None:
    remote = f"docker://{server.address}"
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    found = json.loads(output(["skopeo", "inspect", "--tls-verify=false", f"{remote}/{IMAGE}"]))
    assert found["Digest"] == digest_in_store(pyoci, IMAGE)
    output(
        ["skopeo", "copy", *plain, "--all", "--preserve-digests", f"{remote}/team/many:1", f"oci:{tmp_path / 'out'}:1"]
    )
    assert DirectoryLayout(tmp_path / "out").find("1").digest == digest_in_store(pyoci, "team/many:1")
    output(
        ["skopeo", "copy", *plain, "--all", "--preserve-digests", f"oci:{tmp_path / 'out'}:1", f"{remote}/back/many:2"]
    )
    assert digest_in_store(pyoci, "back/many:2") == digest_in_store(pyoci, "team/many:1")
    output(["skopeo", "copy", *plain, "--format=v2s2", f"{remote}/{IMAGE}", f"{remote}/team/docker:1"])
    kind = json.loads(output(["skopeo", "inspect", "--raw", "--tls-verify=false", f"{remote}/team/docker:1"]))
    assert kind["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    tags = json.loads(output(["skopeo", "list-tags", "--tls-verify=false", f"{remote}/back/many"]))
    assert tags["Tags"] == ["2"]
    output(["skopeo", "delete", "--tls-verify=false", f"{remote}/team/docker:1"])
    with Store(pyoci.directory / "store") as store:
        assert store.tags.get(parse_reference("team/docker:1")) is None


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.needs_skopeo
@pytest.mark.needs_registry  # whose helper package has htpasswd
def test_tls_and_passwords(pyoci: CommandLine, certificates: Certificates, tmp_path: Path) -> None:
    users = tmp_path / "htpasswd"
    long = "x" * 80  # bcrypt looks at 72 bytes of it
    entry = output(["htpasswd", "-niB", "joe"], input=b"hunter2-secret")
    users.write_text(entry + output(["htpasswd", "-niB", "long"], input=long.encode()))
    tls = ("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key))
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "ca.crt").write_bytes(certificates.ca.read_bytes())
    with serve_process(pyoci, "--write", "--htpasswd", str(users), *tls) as server:
        remote = f"docker://{server.address}/{IMAGE}"
        assert server.url.startswith("https://")
        for name, password in (("joe", "hunter2-secret"), ("long", long)):
            inspect = ["skopeo", "inspect", "--cert-dir", str(trust), "--creds", f"{name}:{password}", remote]
            assert json.loads(output(inspect))["Digest"] == digest_in_store(pyoci, IMAGE)
        other = CommandLine(tmp_path / "other")
        other.directory.mkdir()
        refused = other("pull", "--ca-file", str(certificates.ca), f"{server.address}/{IMAGE}")
        assert refused.returncode == 1
        assert "log in" in refused.stderr or "login" in refused.stderr
        login = ("login", "-u", "joe", "--password-stdin", "--ca-file", str(certificates.ca), server.address)
        assert other(*login, stdin="wrong\n").returncode == 1
        other.ok(*login, stdin="hunter2-secret\n")
        pulled = other.ok("pull", "--ca-file", str(certificates.ca), f"{server.address}/{IMAGE}")
        assert pulled == digest_in_store(pyoci, IMAGE)
        said = server.log.read_text()
    assert "hunter2" not in said and "wrong" not in said


@pytest.mark.needs_podman
def test_podman(pyoci: CommandLine, server: ServeProcess, podman: RealPodman) -> None:
    name = f"{server.address}/{IMAGE}"
    podman("pull", "--tls-verify=false", name)
    assert podman.run(name, "cat", "/etc/motd") == "base\n"
    podman("tag", name, f"{server.address}/from/podman:1")
    podman("push", "--tls-verify=false", f"{server.address}/from/podman:1")
    assert pyoci.ok("run", "--rm", "from/podman:1", "cat", "/etc/motd") == "base"


@pytest.mark.needs_docker
def test_docker(pyoci: CommandLine, server: ServeProcess, docker: RealDocker) -> None:
    name = f"{server.address}/{IMAGE}"
    assert f"Digest: {digest_in_store(pyoci, IMAGE)}" in docker("pull", name)
    assert docker.run(name, "cat", "/etc/motd") == "base\n"
    docker("tag", name, f"{server.address}/from/docker:1")
    said = docker("push", f"{server.address}/from/docker:1")
    assert digest_in_store(pyoci, "from/docker:1") in said
    assert "Mounted from team/app" in said
    docker("build", "--tag", f"{server.address}/from/docker:2", "-", input=f"FROM {name}\nRUN echo 2 >/two\n".encode())
    docker("push", f"{server.address}/from/docker:2")
    assert pyoci.ok("run", "--rm", "from/docker:2", "cat", "/two") == "2"


@pytest.mark.needs_containerd
def test_containerd_and_its_mirrors(
    pyoci: CommandLine, server: ServeProcess, containerd: RealContainerd, tmp_path: Path
) -> None:
    containerd("images", "pull", "--plain-http", f"{server.address}/{IMAGE}")
    assert containerd.images() == {f"{server.address}/{IMAGE}": digest_in_store(pyoci, IMAGE)}
    pyoci.ok("tag", IMAGE, "registry.example:5000/team/app:1")
    hosts = tmp_path / "hosts" / "registry.example:5000"
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(
        f'server = "{server.url}"\n[host."{server.url}"]\ncapabilities = ["pull", "resolve"]\n'
    )
    containerd("images", "pull", "--hosts-dir", tmp_path / "hosts", "registry.example:5000/team/app:1")
    assert containerd.images()["registry.example:5000/team/app:1"] == digest_in_store(pyoci, IMAGE)


@pytest.mark.needs_go
def test_crane(pyoci: CommandLine, server: ServeProcess, base_cache: Path, tmp_path: Path) -> None:
    program = go_program(base_cache, CRANE)

    def crane(*arguments: str | Path) -> str:
        return output([program, *arguments], directory=tmp_path).strip()

    remote = f"{server.address}/{IMAGE}"
    assert crane("digest", remote) == digest_in_store(pyoci, IMAGE)
    assert crane("catalog", server.address).split() == ["team/app", "team/many"]
    crane("validate", "--remote", remote)
    crane("copy", f"{server.address}/team/many:1", f"{server.address}/from/crane:1")
    assert digest_in_store(pyoci, "from/crane:1") == digest_in_store(pyoci, "team/many:1")
    crane("pull", "--format=oci", remote, tmp_path / "layout")
    crane("push", tmp_path / "layout", f"{server.address}/from/crane:2")
    assert digest_in_store(pyoci, "from/crane:2") == digest_in_store(pyoci, IMAGE)
    crane("tag", f"{server.address}/from/crane:2", "3")
    assert crane("ls", f"{server.address}/from/crane").split() == ["1", "2", "3"]
    crane("mutate", "--label=a=b", "--tag", f"{server.address}/from/crane:4", remote)
    assert pyoci.ok("run", "--rm", "from/crane:4", "cat", "/etc/motd") == "base"
    crane("delete", f"{server.address}/from/crane:2")
    assert crane("ls", f"{server.address}/from/crane").split() == ["1", "3", "4"]


@pytest.mark.needs_skopeo
def test_a_layout_that_was_handed_over(tmp_path: Path) -> None:
    image = sample_image(5000, 100)
    layout = DirectoryLayout(tmp_path / "carried")
    for piece in image.pieces:
        layout.put(piece, image.content.open(piece))
    layout.add_roots([with_name(image.root, parse_reference("registry.example/team/app:1"))])
    with serve_process(CommandLine(tmp_path), "oci-layout:carried") as server:
        name = f"docker://{server.address}/registry.example/team/app:1"
        copied = tmp_path / "copied"
        output(["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", name, f"oci:{copied}:1"])
    assert DirectoryLayout(copied).find("1").digest == image.root.digest
