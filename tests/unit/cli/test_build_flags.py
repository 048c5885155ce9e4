"""Each flag of `pyoci build` that can be seen to work without running anything, as it is typed."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pyoci.cli.main import main

MULTI = """\
ARG WORD=unset
FROM scratch AS first
ARG WORD
LABEL word=$WORD
COPY Dockerfile /
FROM scratch
COPY --from=first /Dockerfile /second
"""


@pytest.fixture(autouse=True)
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context with a Dockerfile of two stages, and a store that the command line finds by its variable."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    (tmp_path / "context").mkdir()
    monkeypatch.chdir(tmp_path / "context")
    Path("Dockerfile").write_text(MULTI)
    return tmp_path


def built(*flags: str, context: str = ".") -> int:
    return main(["build", "--progress=quiet", "--preflight=off", *flags, context])


def inspected(capsys: pytest.CaptureFixture[str], name: str = "app") -> dict[str, Any]:
    capsys.readouterr()
    assert main(["inspect", name]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def files(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_file_target_and_build_args(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("Dockerfile").rename("other")
    Path("other").write_text(MULTI.replace("Dockerfile", "other"))
    assert built("-f", "other", "--target=first", "--build-arg", "WORD=given", "-t", "app") == 0
    assert inspected(capsys)["Config"]["Labels"] == {"word": "given"}


def test_a_build_argument_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORD", "of the environment")
    assert built("--target=first", "--build-arg", "WORD", "-t", "app") == 0
    assert inspected(capsys)["Config"]["Labels"] == {"word": "of the environment"}


def test_tags_labels_and_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    assert built("-t", "app", "-t", "app:2", "--label", "a=b", "--annotation", "c=d", "-o", "oci.tar,", "-q") == 2
    assert built("-t", "app", "-t", "app:2", "--label", "a=b", "--annotation", "c=d", "-o", "type=oci,dest=o.tar") == 0
    found = inspected(capsys, "app:2")
    assert found["RepoTags"] == ["app:latest", "app:2"]
    assert found["Config"]["Labels"] == {"a": "b"}
    with tarfile.open("o.tar") as tar:
        manifest = tar.extractfile(f"blobs/sha256/{found['Descriptor']['digest'].partition(':')[2]}")
        assert manifest is not None
        assert json.load(manifest)["annotations"] == {"c": "d"}


def test_ids_and_metadata_in_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert built("-t", "app", "--iidfile=id", "--metadata-file=meta") == 0
    printed = capsys.readouterr().out
    found = inspected(capsys)
    assert printed == found["Id"] + "\n"
    assert Path("id").read_text() == found["Id"]
    metadata = json.loads(Path("meta").read_text())
    assert metadata["containerimage.digest"] == found["Descriptor"]["digest"]
    assert metadata["containerimage.config.digest"] == found["Id"]
    assert metadata["image.name"] == "docker.io/library/app:latest"


def test_every_kind_of_output(typed: Path) -> None:
    outputs = ["type=oci,dest=oci.tar", "type=docker,dest=docker.tar", "type=tar,dest=files.tar", "type=local,dest=d"]
    outputs += ["type=oci,dest=layout,tar=false", "type=image,name=other", "lone"]
    assert built("-t", "app", "--load", *(word for output in outputs for word in ("-o", output))) == 0
    assert "index.json" in files(Path("oci.tar"))
    assert {"index.json", "manifest.json"} <= files(Path("docker.tar"))
    assert files(Path("files.tar")) == {"second"}
    assert Path("d/second").read_text() == Path("lone/second").read_text() == MULTI
    assert Path("layout/index.json").is_file()
    assert main(["inspect", "other"]) == 0


def test_named_contexts(typed: Path) -> None:
    (typed / "elsewhere").mkdir()
    (typed / "elsewhere/file").write_text("x")
    Path("Dockerfile").write_text("FROM scratch\nCOPY --from=there file /\n")
    assert built("--build-context", f"there={typed / 'elsewhere'}", "-o", "type=local,dest=d") == 0
    assert Path("d/file").read_text() == "x"


def test_contexts_on_standard_input(monkeypatch: pytest.MonkeyPatch, typed: Path) -> None:
    class Stdin:
        buffer = io.BytesIO(b"FROM scratch\nCOPY Dockerfile /copied\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert built("-f", "-", "-o", "type=local,dest=d") == 0
    assert Path("d/copied").read_text() == MULTI


def test_without_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    def cached(*flags: str) -> int:
        capsys.readouterr()
        assert main(["build", "--progress=plain", "--preflight=off", *flags, "."]) == 0
        return capsys.readouterr().err.count("CACHED")

    assert cached() == 0
    assert cached() == 2
    assert cached("--no-cache-filter=first") == 1
    assert cached("--no-cache") == 0


def test_quiet_is_the_id_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "--preflight=off", "."]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("sha256:")
    assert shown.err == ""


def test_checks_and_calls_build_nothing(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("Dockerfile").write_text("FROM scratch as first\nCOPY Dockerfile /\n")
    assert built("--check") == 1
    assert "FromAsCasing" in capsys.readouterr().out
    assert built("--call=check,format=json") == 1
    assert json.loads(capsys.readouterr().out)
    assert built("--call=targets") == 0
    assert "first" in capsys.readouterr().out
    assert built("--call", "outline") == 0
    assert built("--call", "sing") == 2
    assert not list(Path(typed / "store").rglob("blobs/sha256/*"))


def test_a_platform_and_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert built("--platform=linux/s390x", "-t", "app", "-o", "type=oci,dest=o.tar") == 0
    with tarfile.open("o.tar") as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        assert json.load(index)["manifests"][0]["platform"] == {"architecture": "s390x", "os": "linux"}
    assert built("--platform=linux/amd64,linux/s390x", "--platform", "linux/arm/v6", "-t", "app") == 0
    assert inspected(capsys)["Descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--shm-size=much",), 'error: invalid size "much" for --shm-size'),
        (("--memory=-1",), 'error: invalid size "-1" for --memory'),
        (("--ulimit=nofile",), 'error: invalid ulimit "nofile"'),
        (("--add-host=name",), 'error: invalid host "name"'),
        (("--ssh==x",), 'error: invalid value "=x" for --ssh'),
        (("--secret=src=x",), "error: --secret needs an id"),
        (("--output=type=image,dest=x,flavour=br",), 'error: unknown key "flavour" for output type image'),
        (("--network=bridge",), "error: argument --network: invalid choice: 'bridge' (choose from"),
        (("--push",), "error: tag is needed when pushing to registry"),
        (("--allow=device",), 'error: invalid entitlement "device" for --allow'),
        (("--preflight=loud",), "error: argument --preflight: invalid choice: 'loud' (choose from"),
        (("--nothing",), "error: unrecognized arguments: --nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_value_that_is_none_is_said(flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(*flags) == 2
    assert capsys.readouterr().err.startswith(message)


def test_add_excludes_and_links() -> None:
    Path("README.md").write_text("left out")
    Path("Dockerfile").write_text("FROM scratch\nADD --link --exclude=*.md --exclude=d . /new/\n")
    assert built("-o", "type=local,dest=d") == 0
    assert [path.name for path in Path("d/new").iterdir()] == ["Dockerfile"]


def test_the_time_of_what_is_new(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The build argument goes before the environment, and that before the default of a global ARG."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    def created(*flags: str) -> str:
        assert built(*flags, "-t", "app") == 0
        return str(inspected(capsys)["Created"])

    assert created() == "1970-01-01T00:00:00Z"
    Path("Dockerfile").write_text("ARG DAY=86400\nARG SOURCE_DATE_EPOCH=$DAY\n" + MULTI)
    assert created() == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "172800")
    assert created() == "1970-01-03T00:00:00Z"
    assert created("--build-arg=SOURCE_DATE_EPOCH=259200") == "1970-01-04T00:00:00Z"
    Path("Dockerfile").write_text("FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\n")
    created()
    assert inspected(capsys)["Config"]["Labels"] == {"epoch": "172800"}


def test_another_frontend_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dockerfile.v0", "docker/dockerfile:1.9", "docker.io/docker/dockerfile-upstream:master"):
        assert built("--build-arg", f"BUILDKIT_SYNTAX={name}") == 0
    assert built("--build-arg", "BUILDKIT_SYNTAX=example.com/own:1") == 2
    said = capsys.readouterr().err
    assert said.splitlines()[0] == 'error: the frontend "example.com/own:1" of BUILDKIT_SYNTAX is not available'
