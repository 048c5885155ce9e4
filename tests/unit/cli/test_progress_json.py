"""`--progress=rawjson`: lines that read as BuildKit's SolveStatus (buildkit v0.32, client/graph.go and solver/pb)."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pyoci.cli.main import main
from pyoci.cli.progress_json import RawJsonReporter, WarningKeeper
from pyoci.location import Location, SourceFile
from pyoci.progress import Reporter

MEMBERS = {
    "vertexes": {"digest", "inputs", "name", "started", "completed", "cached", "error", "progressGroup"},
    "statuses": {"id", "vertex", "name", "total", "current", "timestamp", "started", "completed"},
    "logs": {"vertex", "stream", "data", "timestamp"},
    "warnings": {"vertex", "level", "short", "detail", "url", "sourceInfo", "range"},
}
"""JSON names of the fields of Vertex, VertexStatus, VertexLog and VertexWarning."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read(text: str) -> list[dict[str, list[dict[str, Any]]]]:
    """The lines, each checked against what a reader of SolveStatus knows."""
    found = [json.loads(line) for line in text.splitlines()]
    for status in found:
        assert status.keys() <= MEMBERS.keys()
        for kind, entries in status.items():
            for entry in entries:
                assert entry.keys() <= MEMBERS[kind]
                assert DIGEST.fullmatch(entry["digest" if kind == "vertexes" else "vertex"])
                for name in ("started", "completed", "timestamp"):
                    assert name not in entry or TIME.fullmatch(entry[name])
                for name in ("data", "short"):
                    base64.b64decode(entry.get(name, ""), validate=True)
    return found


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reporter(stream: io.StringIO) -> RawJsonReporter:
    return RawJsonReporter(stream, Clock())


def test_a_step_begins_prints_and_ends(reporter: RawJsonReporter, stream: io.StringIO) -> None:
    reporter.step_started("a", "[1/2] RUN x")
    reporter.step_output("a", b"out\n\xff")
    reporter.step_done("a")
    begun, printed, ended = read(stream.getvalue())
    vertex = begun["vertexes"][0]
    assert vertex["name"] == "[1/2] RUN x"
    assert vertex["started"] == "2023-11-14T22:13:20.259999990Z"
    assert base64.b64decode(printed["logs"][0]["data"]) == b"out\n\xff"
    assert printed["logs"][0]["vertex"] == vertex["digest"]
    assert ended["vertexes"] == [{**vertex, "completed": ended["vertexes"][0]["completed"]}]


def test_what_is_cached_and_what_fails(reporter: RawJsonReporter, stream: io.StringIO) -> None:
    reporter.step_cached("a", "[1/2] COPY")
    reporter.step_started("b", "[2/2] RUN false")
    reporter.step_failed("b", "exit code: 1")
    reporter.step_failed("unknown", "before it began")
    cached, _, failed = read(stream.getvalue())
    assert cached["vertexes"][0]["cached"] is True
    assert failed["vertexes"][0]["error"] == "exit code: 1"


def test_transfers_of_one_kind_share_a_vertex(reporter: RawJsonReporter, stream: io.StringIO) -> None:
    reporter.transfer_started("sha256:a", "pull", 100)
    reporter.transfer_started("sha256:b", "pull", 50)
    for done in range(100):
        reporter.transfer_advanced("sha256:a", done)
    reporter.transfer_done("sha256:a", "done")
    reporter.transfer_done("sha256:b", "exists")
    reporter.close()
    lines = read(stream.getvalue())
    vertexes = [one for line in lines for one in line.get("vertexes", ())]
    assert [("completed" in one, one["name"]) for one in vertexes] == [
        (False, "pulling layers"),
        (True, "pulling layers"),
    ]
    statuses = [one for line in lines for one in line.get("statuses", ())]
    assert {one["vertex"] for one in statuses} == {vertexes[0]["digest"]}
    assert len(statuses) < 50
    ended = {one["name"]: one["current"] for one in statuses if "completed" in one}
    assert ended == {"sha256:a": 100, "sha256:b": 0}


def test_a_warning_has_its_place(reporter: RawJsonReporter, stream: io.StringIO) -> None:
    source = SourceFile("Dockerfile", "FROM a\nMAINTAINER x\n")
    reporter.warning("old", location=Location(source, 2, end_line=3))
    reporter.warning("anywhere")
    reporter.message("told")
    placed, anywhere, told = read(stream.getvalue())
    found = placed["warnings"][0]
    assert base64.b64decode(found["short"]) == b"old"
    assert found["sourceInfo"]["filename"] == "Dockerfile"
    assert base64.b64decode(found["sourceInfo"]["data"]).decode() == source.text
    assert found["range"] == [{"start": {"line": 2}, "end": {"line": 3}}]
    assert "range" not in anywhere["warnings"][0]
    assert told["vertexes"][0]["name"] == "told"


# as it is typed


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nMAINTAINER me\nCOPY Dockerfile /\n")
    return tmp_path


@pytest.mark.usefixtures("typed")
def test_a_build_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--progress=rawjson", "--preflight=off", "."]) == 0
    captured = capsys.readouterr()
    lines = read(captured.err)
    assert any(one.get("cached") is None for line in lines for one in line.get("vertexes", ()))
    assert [base64.b64decode(one["short"])[:20] for line in lines for one in line.get("warnings", ())] == [
        b"MaintainerDeprecated"
    ]
    assert DIGEST.fullmatch(captured.out.strip())


@pytest.mark.usefixtures("typed")
def test_none_is_nothing_but_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--progress=none", "."]) == 0
    captured = capsys.readouterr()
    assert (captured.err, bool(DIGEST.fullmatch(captured.out.strip()))) == ("", True)


@pytest.mark.usefixtures("typed")
def test_the_variable_counts_where_no_flag_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDKIT_PROGRESS", "rawjson")
    assert main(["build", "--preflight=off", "."]) == 0
    assert read(capsys.readouterr().err)
    assert main(["build", "--progress=plain", "--preflight=off", "."]) == 0
    assert "#1 " in capsys.readouterr().err
    monkeypatch.setenv("BUILDKIT_PROGRESS", "loud")
    assert main(["build", "."]) == 2
    assert capsys.readouterr().err.startswith('error: invalid progress mode "loud" in BUILDKIT_PROGRESS')


@pytest.mark.usefixtures("typed")
def test_the_metadata_hold_warnings_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["build", "-q", "--preflight=off", "--metadata-file=m.json", "."]
    assert main(command) == 0
    assert "buildx.build.warnings" not in json.loads(Path("m.json").read_text())
    monkeypatch.setenv("BUILDX_METADATA_WARNINGS", "true")
    monkeypatch.setenv("BUILDX_METADATA_PROVENANCE", "max")
    assert main(command) == 0
    warnings = json.loads(Path("m.json").read_text())["buildx.build.warnings"]
    assert [base64.b64decode(one["short"]).partition(b":")[0].decode() for one in warnings] == [
        "BUILDX_METADATA_PROVENANCE=max is left out",
        "MaintainerDeprecated",
    ]
    capsys.readouterr()


def test_who_keeps_warnings_passes_everything_on(reporter: RawJsonReporter, stream: io.StringIO) -> None:
    keeper: Reporter = WarningKeeper(reporter)
    keeper.step_started("a", "t")
    keeper.step_output("a", b"x")
    keeper.step_done("a")
    keeper.transfer_started("n", "push", 1)
    keeper.transfer_done("n", "mounted")
    keeper.message("m")
    keeper.warning("w")
    assert len(read(stream.getvalue())) == 7


# switches


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("flag", ["--pull", "--no-cache", "--push", "--load", "--check", "--quiet", "-q", "--squash"])
def test_switches_take_values_as_docker_s_do(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--preflight=off", "--progress=quiet", f"{flag}=false", "."]) == 0
    plain = capsys.readouterr()
    assert main(["build", "--preflight=off", "--progress=quiet", f"{flag}=F", flag, f"{flag}=0", "."]) == 0
    assert capsys.readouterr() == plain
    assert main(["build", "--preflight=off", f"{flag}=maybe", "."]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.usefixtures("typed")
def test_a_switch_with_true_is_the_switch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--check=true", "."]) == 1
    assert "MaintainerDeprecated" in capsys.readouterr().out
    assert main(["build", "--push=1", "--preflight=off", "."]) == 2
    assert "tag is needed when pushing" in capsys.readouterr().err
