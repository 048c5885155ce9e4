"""Provenance beside an image: held against BuildKit's of the same build, and read by everybody else's programs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci.cli.main import main
from tests.conformance.attested import (
    ARGUMENTS,
    FIXTURES,
    LABELS,
    Attested,
    key_paths,
    read_attested,
    served,
    without_ports,
)
from tests.conformance.base_image import write_base_layout
from tests.integration.real.containerd import RealContainerd
from tests.integration.real.docker import RealDocker
from tests.integration.real.registry import real_registry

Build = Callable[..., Attested]
GO = {"PATH": f"/usr/local/go/bin:{os.environ.get('PATH', '')}", "HOME": "/nonexistent", "GOCACHE": "off"}

BUILDKITS_OWN = {
    # The frontend's own request repeated, as it has subrequests; its versions.
    ".externalParameters.request.root",
    ".externalParameters.request.compatibilityVersion",
    ".internalParameters.dockerfileVersion",
    # Told by pyoci only with SOURCE_DATE_EPOCH, and never at random.
    ".runDetails.metadata.invocationId",
    ".runDetails.metadata.startedOn",
    ".runDetails.metadata.finishedOn",
    # Steps as LLB; pyoci's are `buildConfig.steps`.
    ".internalParameters.buildConfig.llbDefinition",
    ".internalParameters.buildConfig.digestMapping",
    ".runDetails.metadata.buildkit_metadata.source.infos[].llbDefinition",
    ".runDetails.metadata.buildkit_metadata.source.infos[].digestMapping",
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_base_layout(tmp_path / "base")
    (tmp_path / "token").write_text("a secret")
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    with served(tmp_path / "served") as context:
        (tmp_path / "context").symlink_to(context)
        yield tmp_path


@pytest.fixture
def build(world: Path) -> Build:
    def build(*flags: str, name: str = "out.tar") -> Attested:
        given = [f"--build-arg={key}={value}" for key, value in ARGUMENTS.items()]
        given += [f"--label={key}={value}" for key, value in LABELS.items()]
        base = f"--build-context=base=oci-layout://{world / 'base'}:latest"
        secret = f"--secret=id=token,src={world / 'token'}"
        output = f"--output=type=oci,dest={name}"
        common = ["build", "--progress=quiet", "--preflight=off", base, secret, output]
        assert main([*common, *given, *flags, "context"]) == 0
        return read_attested(world / name)

    return build


def recorded(mode: str) -> Attested:
    found = json.loads((FIXTURES / f"{mode}.json").read_text())
    return Attested(found["index"], found["manifest"], found["statement"])


def predicate(attested: Attested) -> Any:
    return without_ports(attested.statement)["predicate"]


def sections(attested: Attested) -> dict[str, Any]:
    found = predicate(attested)
    return {**found["buildDefinition"], "runDetails": found["runDetails"]}


def layout_is_of(ours: Any, theirs: Any) -> None:
    """Both are equal but for digests and sizes, which name other bytes."""
    changing = {"digest", "size", "vnd.docker.reference.digest"}

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: "…" if key in changing else shape(item) for key, item in value.items()}
        return [shape(item) for item in value] if isinstance(value, list) else value

    assert shape(ours) == shape(theirs)


pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_git]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_buildkit_says_of_the_same_build(build: Build, mode: str) -> None:
    ours, theirs = build(f"--provenance=mode={mode}"), recorded(mode)
    layout_is_of(ours.index, theirs.index)
    layout_is_of(ours.manifest, theirs.manifest)
    assert ours.manifest["config"] == theirs.manifest["config"]
    assert ours.manifest["subject"]["digest"] == ours.index["manifests"][0]["digest"]
    assert {k: v for k, v in ours.statement.items() if k != "predicate"} == {
        k: v for k, v in theirs.statement.items() if k != "predicate"
    }
    mine, told = sections(ours), sections(theirs)
    assert mine["buildType"] == told["buildType"]
    assert mine["resolvedDependencies"] == told["resolvedDependencies"]
    assert mine["externalParameters"]["configSource"] == told["externalParameters"]["configSource"]
    request, asked = mine["externalParameters"]["request"], told["externalParameters"]["request"]
    assert request["args"] == asked["args"]
    assert (request["frontend"], request["locals"]) == (asked["frontend"], asked["locals"])
    metadata = mine["runDetails"]["metadata"]
    assert metadata["buildkit_completeness"] == told["runDetails"]["metadata"]["buildkit_completeness"]
    here = {path for path in key_paths(mine) if not path.startswith(".internalParameters.buildConfig.steps")}
    there = {path for path in key_paths(told) if not any(path.startswith(own) for own in BUILDKITS_OWN)}
    numbered = {
        path for path in here | there if "buildkit_metadata.source.locations.step" in path or ".layers." in path
    }
    assert there - here - numbered == set()
    assert here - there - numbered == {".runDetails.builder.version", ".runDetails.builder.version.pyoci"}


def test_secrets_are_named_and_never_told(build: Build) -> None:
    told = recorded("max")
    secrets = [s for s in sections(told)["externalParameters"]["request"]["secrets"] if s["id"] == "token"]
    ours = build("--provenance=mode=max")
    assert sections(ours)["externalParameters"]["request"]["secrets"] == secrets
    assert "a secret" not in json.dumps(ours.statement)
    dockerfile = sections(ours)["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"][0]
    assert dockerfile["filename"] == "Dockerfile"
    assert (
        dockerfile.keys() <= sections(told)["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"][0].keys()
    )


@pytest.mark.parametrize("flag", ["--build-arg=MORE=x a secret x", "--label=more=a secret"])
def test_a_secret_in_what_is_told_ends_the_build(world: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    (world / "Dockerfile").write_text("FROM base\nARG MORE\nRUN --mount=type=secret,id=token true\n")
    base = f"--build-context=base=oci-layout://{world / 'base'}:latest"
    command = [
        "build",
        "-q",
        "--preflight=off",
        base,
        "--secret=id=token,src=token",
        flag,
        "--provenance=mode=max",
        ".",
    ]
    assert main(command) == 1
    assert 'the provenance would hold the secret "token"' in capsys.readouterr().err


def test_nothing_of_time_and_machine_is_in_it(build: Build, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build("--provenance=mode=max", "-t", "app")
    again = build("--provenance=mode=max", "-t", "app", "--no-cache", name="again.tar")
    assert (world / "out.tar").read_bytes() == (world / "again.tar").read_bytes()
    text = json.dumps(first.statement)
    assert str(world) not in text
    assert first.statement == again.statement
    assert first.statement["subject"] == [
        {
            "name": "pkg:docker/app@latest?platform=linux%2Famd64",
            "digest": {"sha256": first.index["manifests"][0]["digest"].removeprefix("sha256:")},
        }
    ]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1577836800")
    timed = sections(build("--attest", "type=provenance,builder-id=https://ci.example/7"))
    assert timed["runDetails"]["metadata"]["finishedOn"] == "2020-01-01T00:00:00Z"
    assert timed["runDetails"]["builder"]["id"] == "https://ci.example/7"


def test_what_the_machine_lent_is_named(build: Build, world: Path, certificates: Path) -> None:
    Path("plain").mkdir()
    Path("plain/Dockerfile").write_text(
        "FROM tools AS compile\nRUN echo 1 >/out\nFROM scratch\nCOPY --from=compile /out /\n"
    )
    command = ["build", "-q", "--preflight=off", "--build-context=tools=host:", "--provenance=true"]
    output = ["--ca-bundle", str(certificates), "-o", "type=oci,dest=host.tar", "plain"]
    assert main([*command, *output]) == 0
    found = sections(read_attested(world / "host.tar"))
    assert found["internalParameters"]["hostStages"] == ["compile"]
    assert found["internalParameters"]["caBundle"]["source"] == "file"
    assert found["externalParameters"]["request"]["args"] == {"context:tools": "host:"}
    assert found["runDetails"]["metadata"]["buildkit_completeness"]["resolvedDependencies"] is False
    assert "/opt" not in json.dumps(found)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    return path


def test_a_build_of_the_network_alone_is_complete(world: Path) -> None:
    """From a repository, without a RUN: every source has a digest."""
    base = f"--build-context=base=oci-layout://{world / 'base'}:latest"
    url = (world / "context/Dockerfile").read_text().partition("ADD ")[2].partition("/file")[0]
    Path("repo").mkdir()
    for command in (
        *(["git", "init", "-q"], ["sh", "-c", "printf 'FROM base\\nCOPY Dockerfile /\\n' >Dockerfile"]),
        *(["git", "add", "."], ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]),
        *(["git", "clone", "-q", "--bare", ".", str(world / "served/files/own.git")],),
    ):
        subprocess.run(command, cwd="repo", check=True, timeout=60)
    subprocess.run(["git", "update-server-info"], cwd=world / "served/files/own.git", check=True, timeout=60)
    out = ["--provenance=mode=max", "-o", "type=oci,dest=git.tar"]
    assert main(["build", "-q", "--preflight=off", base, *out, f"{url}/own.git"]) == 0
    found = sections(read_attested(world / "git.tar"))
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd="repo", check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
    source = without_ports({"uri": f"{url}/own.git", "digest": {"sha1": commit}})
    assert found["externalParameters"]["configSource"] == {"path": "Dockerfile", **source}
    assert source in found["resolvedDependencies"]
    assert found["externalParameters"]["request"]["locals"] == []
    metadata = found["runDetails"]["metadata"]
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": True}
    assert metadata["buildkit_hermetic"] is True


@pytest.mark.needs_apt
@pytest.mark.needs_go
def test_packages_are_those_that_the_tools_know(world: Path) -> None:
    """Of this machine's own database, and of a program of its Go toolchain."""
    Path("packages").mkdir()
    program = Path(shutil.which("gofmt") or "/usr/local/go/bin/gofmt").resolve()
    for source, name in (("/var/lib/dpkg/status", "status"), ("/usr/lib/os-release", "os-release"), (program, "gofmt")):
        shutil.copy(source, Path("packages") / name)
    Path("packages/Dockerfile").write_text(
        "FROM scratch\nCOPY status /var/lib/dpkg/\nCOPY os-release /usr/lib/\nCOPY --chmod=755 gofmt /bin/\n"
    )
    flags = ["--sbom=true", "--provenance=true", "-t", "listed:1", "-o", "type=oci,dest=packages.tar"]
    assert main(["build", "-q", "--preflight=off", *flags, "packages"]) == 0
    found = read_attested(world / "packages.tar")
    kinds = [layer["annotations"]["in-toto.io/predicate-type"] for layer in found.manifest["layers"]]
    assert kinds == ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]
    assert found.statement["subject"][0]["name"] == "pkg:docker/listed@1?platform=linux%2Famd64"
    document = found.statement["predicate"]
    assert (document["spdxVersion"], document["packages"][0]["name"]) == ("SPDX-2.3", "listed:1")
    listed = {(p["name"], p["versionInfo"]) for p in document["packages"][1:]}
    admin = world / "admin"  # a copy, so that nobody who installs something meanwhile is in the way
    for directory in ("info", "updates"):
        (admin / directory).mkdir(parents=True)
    shutil.copy("packages/status", admin / "status")
    form = "--showformat=${db:Status-Status} ${Package} ${Version}\n"
    command = ["dpkg-query", f"--admindir={admin}", "--show", form]
    query = subprocess.run(command, capture_output=True, text=True, timeout=60)
    rows = [line.split() for line in query.stdout.splitlines()]
    debian = {(name, version) for status, name, version in rows if status == "installed"}
    assert len(debian) > 50
    told = subprocess.run(["go", "version", str(program)], capture_output=True, text=True, timeout=60, env=GO).stdout
    assert listed == debian | {("stdlib", told.split()[1])}


# others' programs


def simple(world: Path, *flags: str) -> None:
    Path("simple").mkdir()
    Path("simple/Dockerfile").write_text('FROM base\nCMD ["echo", "it runs"]\n')
    base = f"--build-context=base=oci-layout://{world / 'base'}:latest"
    assert main(["build", "-q", "--preflight=off", base, "--provenance=mode=max", *flags, "simple"]) == 0


@pytest.mark.needs_docker
def test_docker_loads_and_runs_it(world: Path, docker: RealDocker) -> None:
    simple(world, "-t", "attested:1", "-o", "type=docker,dest=docker.tar")
    assert "attested:1" in docker("load", "--input", str(world / "docker.tar"))
    assert docker("run", "--rm", "--network=none", "attested:1") == "it runs\n"


@pytest.mark.needs_containerd
def test_containerd_imports_it_whole(world: Path, containerd: RealContainerd) -> None:
    simple(world, "-t", "attested:1", "-o", "type=docker,dest=docker.tar")
    assert "attested:1" in containerd("images", "import", "--all-platforms", str(world / "docker.tar"))
    index = read_attested(world / "docker.tar").index
    digests = {each["digest"] for each in index["manifests"]}
    assert digests <= set(containerd("content", "ls", "--quiet").split())


@pytest.mark.needs_registry
@pytest.mark.needs_skopeo
def test_a_registry_takes_it_and_gives_it_back(
    world: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    with real_registry(tmp_path_factory.mktemp("registry")) as registry:
        name = f"{registry.host}/attested:1"
        simple(world, "-t", name, "--push")
        capsys.readouterr()
        assert main(["manifest", "inspect", name]) == 0
        index = json.loads(capsys.readouterr().out)
        kinds = [each.get("annotations", {}).get("vnd.docker.reference.type") for each in index["manifests"]]
        assert kinds == [None, "attestation-manifest"]
        read = b""
        for each in index["manifests"]:
            command = [
                "skopeo",
                "inspect",
                "--raw",
                "--tls-verify=false",
                f"docker://{registry.host}/attested@{each['digest']}",
            ]
            read = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
            assert hashlib.sha256(read).hexdigest() == each["digest"].removeprefix("sha256:")
        statement = json.loads(read)["layers"][0]
        assert statement["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}


def test_two_platforms_have_a_statement_each(world: Path) -> None:
    Path("both").mkdir()
    Path("both/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    flags = ["--platform=linux/amd64,linux/arm64", "--provenance=true", "-o", "type=oci,dest=both.tar"]
    assert main(["build", "-q", "--preflight=off", *flags, "both"]) == 0
    index = read_attested(world / "both.tar").index
    platforms = [each["platform"]["architecture"] for each in index["manifests"]]
    assert platforms == ["amd64", "arm64", "unknown", "unknown"]
    about = [each["annotations"]["vnd.docker.reference.digest"] for each in index["manifests"][2:]]
    assert about == [each["digest"] for each in index["manifests"][:2]]


def test_docker_media_types_have_no_place_for_it(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    flags = ["--provenance=true", "-o", "type=oci,dest=x.tar,oci-mediatypes=false"]
    assert main(["build", "-q", "--preflight=off", *flags, "."]) == 2
    assert "not possible with docker's media types" in capsys.readouterr().err


HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def files_world(*flags: str) -> None:
    """A build of two files, written as files; what is expected of it is what BuildKit 0.32 wrote."""
    Path("Dockerfile").write_text("FROM scratch\nCOPY a /x/a\nCOPY a /b\n")
    Path("a").write_text("hello")
    assert main(["build", "-q", "--preflight=off", *flags, "."]) == 0


def listed(directory: str) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in Path(directory).rglob("*") if path.is_file())


def test_beside_files_it_is_a_file_about_each_of_them(world: Path) -> None:
    files_world("--provenance=true", "--sbom=true", "-o", "type=local,dest=out")
    assert listed("out") == ["b", "provenance.json", "sbom.spdx.json", "x/a"]
    for name, kind in (("provenance", "https://slsa.dev/provenance/v1"), ("sbom.spdx", "https://spdx.dev/Document")):
        path = Path(f"out/{name}.json")
        said = json.loads(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (said["_type"], said["predicateType"]) == ("https://in-toto.io/Statement/v1", kind)
        assert said["subject"] == [{"name": each, "digest": {"sha256": HELLO}} for each in ("b", "x/a")]
    assert json.loads(Path("out/sbom.spdx.json").read_text())["predicate"]["spdxVersion"] == "SPDX-2.3"


def test_beside_files_in_a_tar(world: Path) -> None:
    files_world("--provenance=true", "-o", "type=tar,dest=out.tar")
    with tarfile.open("out.tar") as tar:
        members = {member.name: member for member in tar}
    assert sorted(members) == ["b", "provenance.json", "x", "x/a"]
    own = members["provenance.json"]
    assert (own.mode, own.uid, own.mtime) == (0o600, 0, 0)


@pytest.mark.parametrize(
    ("flags", "output", "names"),
    [
        ([], "attestation-prefix=pre-", ["b", "pre-provenance.json", "x/a"]),
        ([], "platform-split=true", [f"linux_amd64/{name}" for name in ("b", "provenance.json", "x/a")]),
        (
            ["--platform=linux/amd64,linux/arm64"],
            "mode=copy",
            [f"linux_{p}/{name}" for p in ("amd64", "arm64") for name in ("b", "provenance.json", "x/a")],
        ),
        (
            ["--build-arg=BUILDKIT_MULTI_PLATFORM=1", "--platform=linux/amd64"],
            "platform-split=false",
            ["b", "provenance.linux_amd64.json", "x/a"],
        ),
    ],
    ids=["prefix", "split", "platforms", "not-split"],
)
def test_how_the_files_are_called(world: Path, flags: list[str], output: str, names: list[str]) -> None:
    files_world("--provenance=true", *flags, "-o", f"type=local,dest=out,{output}")
    assert listed("out") == names


def test_a_file_of_that_name_gives_way(world: Path) -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY a /provenance.json\n")
    Path("a").write_text("hello")
    assert main(["build", "-q", "--preflight=off", "--provenance=true", "-o", "type=local,dest=out", "."]) == 0
    said = json.loads(Path("out/provenance.json").read_text())
    assert said["subject"] == [{"name": "provenance.json", "digest": {"sha256": HELLO}}]


def test_a_prefix_is_no_path(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert main(["build", "-q", "-o", "type=local,dest=out,attestation-prefix=../", "."]) == 2
    assert "attestation-prefix=../" in capsys.readouterr().err


def test_files_that_a_step_made_are_told_by_their_digests(world: Path, busybox_tar: Path) -> None:
    shutil.copy(busybox_tar, "busybox.tar")
    Path("Dockerfile").write_text("FROM scratch\nADD busybox.tar /\nRUN printf hello >/made\n")
    assert main(["build", "-q", "--preflight=off", "--provenance=true", "-o", "type=local,dest=out", "."]) == 0
    said = json.loads(Path("out/provenance.json").read_text())
    assert {"name": "made", "digest": {"sha256": HELLO}} in said["subject"]
