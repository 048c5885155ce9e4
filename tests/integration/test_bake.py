"""`pyoci bake` as it is typed: what targets share runs once, what they do not overlaps, results are contexts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.attested import read_attested
from tests.conformance.base_image import write_base_layout

ROOT = Path(__file__).resolve().parents[2]


class Bake:
    """pyoci bake in a world of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "context"
        self.directory.mkdir()
        self.base = self.directory / "base"
        write_base_layout(self.base)
        self._home = directory

    def __call__(
        self, *arguments: str, verb: str = "bake", stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "PYOCI_HOME": str(self._home / "store"),
            "PYTHONPATH": str(ROOT),
            **(env or {}),
        }
        return subprocess.run(
            [sys.executable, "-m", "pyoci", verb, *arguments],
            cwd=self.directory,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("BASE", f"oci-layout://{self.base}:latest"))


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    return Bake(tmp_path)


def started(stderr: str, command: str) -> int:
    """How often a RUN was started."""
    return len(re.findall(rf"^#\d+ \[[^]]*\] RUN .*{re.escape(command)}$", stderr, re.MULTILINE))


TWO = """
group "default" { targets = ["a", "b"] }
target "_base" {
  contexts = { base = "BASE" }
}
target "a" {
  inherits = ["_base"]
  target = "a"
  tags = ["test/a:1"]
}
target "b" {
  inherits = ["_base"]
  target = "b"
  tags = ["test/b:1"]
}
"""
STAGES = """
FROM base AS shared
COPY file /
RUN echo shared-step
FROM shared AS a
RUN date +%s > /begin; sleep 2; date +%s > /end
FROM shared AS b
RUN echo b; date +%s > /begin; sleep 2; date +%s > /end
"""


def test_a_shared_stage_runs_once_and_the_rest_overlaps(bake: Bake) -> None:
    bake.write("docker-bake.hcl", TWO)
    bake.write("Dockerfile", STAGES)
    bake.write("file", "x")
    done = bake("--metadata-file", "meta.json", "--set", "*.output+=type=local,dest=out", "--set", "b.output=out-b")
    assert done.returncode == 0, done.stderr
    assert started(done.stderr, "echo shared-step") == 1
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["a", "b"]
    begin = {
        name: int((bake.directory / where / "begin").read_text()) for name, where in (("a", "out"), ("b", "out-b"))
    }
    end = {name: int((bake.directory / where / "end").read_text()) for name, where in (("a", "out"), ("b", "out-b"))}
    assert max(begin.values()) < min(end.values())
    metadata = json.loads((bake.directory / "meta.json").read_text())
    assert sorted(metadata) == ["a", "b"]
    assert metadata["a"]["image.name"] == "docker.io/test/a:1"
    again = bake()
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert started(again.stderr, "echo shared-step") == 0 or "CACHED" in again.stderr


def test_contexts_of_one_name_and_other_files_are_not_mixed_up(bake: Bake) -> None:
    bake.write(
        "docker-bake.hcl",
        'target "app" {\n name = "app-${d}"\n matrix = { d = ["one", "two"] }\n context = d\n'
        ' dockerfile = "../Dockerfile"\n output = ["out-${d}"]\n}\n',
    )
    bake.write("Dockerfile", "FROM scratch\nCOPY file /\n")
    bake.write("one/file", "1")
    bake.write("two/file", "2")
    done = bake("app")
    assert done.returncode == 0, done.stderr
    assert [(bake.directory / f"out-{d}" / "file").read_text() for d in ("one", "two")] == ["1", "2"]


def test_secrets_of_one_name_and_other_values_are_not_mixed_up(bake: Bake) -> None:
    bake.write(
        "docker-bake.hcl",
        'target "app" {\n name = "app-${d}"\n matrix = { d = ["one", "two"] }\n contexts = { base = "BASE" }\n'
        ' dockerfile-inline = "FROM base\\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s > /size\\n"\n'
        ' secret = ["id=s,src=${d}.txt"]\n output = ["out-${d}"]\n}\n',
    )
    bake.write("one.txt", "12345")
    bake.write("two.txt", "1234567890")
    done = bake("app")
    assert done.returncode == 0, done.stderr
    sizes = [(bake.directory / f"out-{d}" / "size").read_text().strip() for d in ("one", "two")]
    assert sizes == ["5", "10"]


def test_the_result_of_a_target_is_a_context_of_another(bake: Bake) -> None:
    bake.write(
        "docker-bake.hcl",
        'target "lib" {\n contexts = { base = "BASE" }\n'
        ' dockerfile-inline = "FROM base\\nENV FROM_LIB=yes\\nRUN echo made > /lib.txt\\n"\n}\n'
        'target "default" {\n contexts = { lib = "target:lib" }\n'
        ' dockerfile-inline = "FROM lib\\nRUN echo $FROM_LIB > /env\\nCOPY --from=lib /lib.txt /copy.txt\\n"\n'
        ' output = ["out"]\n}\n',
    )
    done = bake()
    assert done.returncode == 0, done.stderr
    out = bake.directory / "out"
    assert (out / "copy.txt").read_text() == "made\n"
    assert (out / "env").read_text() == "yes\n"
    assert done.stdout.startswith("default sha256:")
    assert len(done.stdout.splitlines()) == 1


def test_compose_builds_its_services(bake: Bake) -> None:
    bake.write(
        "compose.yaml",
        "services:\n  web:\n    image: web:${TAG:-1}\n    build:\n      context: web\n      args: {WHO: $WHO}\n"
        "      additional_contexts: {base: BASE}\n",
    )
    bake.write("web/Dockerfile", "FROM base\nARG WHO\nLABEL who=$WHO\n")
    bake.write(".env", "WHO=env-file\nTAG=2\n")
    done = bake()
    assert done.returncode == 0, done.stderr
    shown = bake("web:2", verb="inspect")
    assert '"who": "env-file"' in shown.stdout


def test_what_is_not_done_is_said_once(bake: Bake) -> None:
    wanted = ' cache-from = ["type=gha"]\n'
    bake.write("docker-bake.hcl", TWO.replace('target "_base" {', 'target "_base" {\n' + wanted))
    bake.write("Dockerfile", "FROM base AS a\nFROM base AS b\n")
    done = bake()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no cache is imported from type=gha: there is no such cache here") == 2


def test_targets_are_attested(bake: Bake) -> None:
    wanted = ' attest = ["type=provenance,mode=max"]\n contexts = { lib = "target:lib", files = "files" }\n'
    wanted += ' tags = ["test/attested:1"]\n'
    bake.write("docker-bake.hcl", 'target "lib" {\n context = "lib"\n}\ntarget "default" {\n' + wanted + "}\n")
    bake.write("lib/Dockerfile", "FROM scratch\nCOPY Dockerfile /lib\n")
    bake.write("files/file", "1")
    bake.write("Dockerfile", "FROM scratch\nCOPY --from=lib /lib /\nCOPY --from=files file /\nCOPY Dockerfile /\n")
    assert bake("--provenance=mode=vague").returncode == 2
    done = bake("--set=*.output=type=oci,dest=attested.tar")
    assert done.returncode == 0, done.stderr
    predicate = read_attested(bake.directory / "attested.tar").statement["predicate"]
    request = predicate["buildDefinition"]["externalParameters"]["request"]
    assert request["args"] == {"context:files": "local:files", "context:lib": "target:lib"}
    assert [one["name"] for one in request["locals"]] == ["context", "files", "dockerfile"]
    steps = predicate["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
    contexts = {one["step"]["name"] for one in steps if one["step"]["type"] == "ContextStep"}
    assert contexts == {"context", "files"}


def test_print_list_and_check_build_nothing(bake: Bake) -> None:
    bake.write("docker-bake.hcl", 'variable "V" {\n description = "the v"\n default = "1"\n}\n' + TWO)
    bake.write("Dockerfile", "FROM base AS a\nmaintainer me\nFROM base AS b\n")
    printed = bake("--print", "a", "--var", "V=2")
    assert json.loads(printed.stdout)["target"]["a"]["tags"] == ["test/a:1"]
    assert bake("--list", "targets").stdout == "TARGET\tDESCRIPTION\na\t\nb\t\ndefault\ta, b\n"
    listed = bake("--list", "type=variables,format=json", "--var", "V=2")
    assert json.loads(listed.stdout) == [{"name": "V", "description": "the v", "value": "2"}]
    checked = bake("--check")
    assert checked.returncode == 1
    assert "MaintainerDeprecated" in checked.stdout
    assert not bake("-q", verb="images").stdout.strip()


def test_a_file_on_standard_input(bake: Bake) -> None:
    done = bake("-f", "-", "--print", stdin='target "default" {}')
    expected = {"target": {"default": {"context": ".", "dockerfile": "Dockerfile"}}}
    assert json.loads(done.stdout)["target"] == expected["target"]


@pytest.mark.parametrize(
    ("text", "arguments", "status", "message"),
    [
        ("", (), 2, "error: couldn't find a bake definition\n"),
        ("", ("-f", "none.hcl"), 2, "error: cannot read none.hcl: no such file or directory\n"),
        ('target "default" {}', ("--print", "--list", "targets"), 2, "error: --print and --list exclude each other\n"),
        ('target "default" {\n network = "x"\n}', (), 2, 'error: target default: unknown network "x"\n'),
        (
            'target "default" {\n entitlements = ["security.insecure"]\n}',
            (),
            2,
            "error: target default asks for more than is allowed: security.insecure\n",
        ),
        ('target "default" {\n x = 1\n}', (), 1, 'error: unknown attribute "x"\n'),
        ("", ("-D",), 2, "error: -D of docker buildx bake is not there\nhint: PYOCI_DEBUG=1 shows"),
        (
            'target "default" {}',
            ("--sbom=generator=x",),
            2,
            'error: target default: --attest type=sbom,generator=x: unexpected key "generator"\n',
        ),
        ('target "default" {}', ("--policy=strict=true",), 2, "error: target default: policy is not there\n"),
        ('target "default" {}', ("--policy=filename=x",), 2, 'error: invalid value "filename=x" for --policy\n'),
        (
            'target "default" {\n resources = { cpu-quota = 1 }\n}',
            (),
            2,
            'error: target default: the resource "cpu-quota" is not there\n',
        ),
        ('target "default" {}', ("--call=guess",), 2, 'error: unknown call "guess"\n'),
        ('target "default" {\n call = "guess"\n}', (), 2, 'error: target default: unknown call "guess"\n'),
        (
            'target "default" {\n context = "../x"\n}',
            (),
            2,
            "error: target default asks for more than is allowed: fs.read=",
        ),
        (
            'target "default" {\n ssh = ["default"]\n}',
            (),
            2,
            "error: target default asks for more than is allowed: ssh\n",
        ),
    ],
)
def test_what_is_refused(bake: Bake, text: str, arguments: tuple[str, ...], status: int, message: str) -> None:
    if text:
        bake.write("docker-bake.hcl", text)
    done = bake(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(message)


def test_flags_that_change_nothing_here_are_taken_and_said(bake: Bake) -> None:
    bake.write("docker-bake.hcl", 'target "default" {\n resources = { memory = "512m" }\n tags = ["t"]\n}\n')
    bake.write("Dockerfile", "FROM scratch\nLABEL a=b\n")
    flags = ("--builder=x", "--provenance=false", "--sbom=0", "--load", "--push=false", "--allow=image.push=x")
    done = bake(*flags, "--policy=disabled=true", "--metadata-file=made.json", "default")
    assert done.returncode == 0, done.stderr
    assert "warning: --builder x is left out" in done.stderr
    assert "warning: --allow image.push=x has no effect" in done.stderr
    metadata = json.loads((bake.directory / "made.json").read_text())
    assert list(metadata) == ["default"]
    assert metadata["default"]["containerimage.config.digest"] == done.stdout.split()[1]


def test_checks_as_json(bake: Bake) -> None:
    definition = 'target "default" {\n description = "all"\n dockerfile-inline = "FROM scratch\\nmaintainer me"\n}\n'
    bake.write("docker-bake.hcl", definition)
    done = bake("--call=check,format=json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert list(found) == ["group", "target"]
    assert found["target"]["default"]["build"]["call"] == "lint"
    warnings = found["target"]["default"]["check"]["warnings"]
    assert "MaintainerDeprecated" in {warning["ruleName"] for warning in warnings}
    assert bake("--call=check,ignorestatus=true").returncode == 0
    assert bake("--check").stdout.startswith("default\nall\n\n")
    outline = bake("--call=outline,format=json")
    assert (outline.returncode, list(json.loads(outline.stdout)["target"]["default"])) == (0, ["build", "outline"])
