"""Compose files (compose-spec build.md and 12-interpolation.md; docs.docker.com/build/bake/compose-file)."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.bake.env_file import parse_env_file
from pyoci.bake.interpolate import interpolate
from pyoci.bake.values import ValueProblem
from pyoci.errors import BakeError
from pyoci.location import SourceFile
from tests.unit.bake.files import printed, read


def service(build: str, *, rest: str = "", variables: dict[str, str] | None = None) -> Any:
    """The target of one service; `build` is indented below `build:`."""
    lines = "".join(f"      {line}\n" for line in build.strip("\n").split("\n"))
    text = f"services:\n  web:\n    build:\n{lines}{rest}"
    return printed(text, name="compose.yaml", variables=variables)["target"]["web"]


def test_the_documented_example() -> None:
    text = """
services:
  webapp-dev:
    build: &build-dev
      dockerfile: Dockerfile.webapp
      tags:
        - docker.io/username/webapp:latest
      cache_from:
        - docker.io/username/webapp:cache
      cache_to:
        - docker.io/username/webapp:cache

  webapp-release:
    build:
      <<: *build-dev
      x-bake:
        platforms:
          - linux/amd64
          - linux/arm64

  db:
    image: docker.io/username/db
    build:
      dockerfile: Dockerfile.db
"""
    cache = [{"ref": "docker.io/username/webapp:cache", "type": "registry"}]
    dev = {
        "context": ".",
        "dockerfile": "Dockerfile.webapp",
        "tags": ["docker.io/username/webapp:latest"],
        "cache-from": cache,
        "cache-to": cache,
    }
    assert printed(text, name="compose.yaml") == {
        "group": {"default": {"targets": ["db", "webapp-dev", "webapp-release"]}},
        "target": {
            "db": {"context": ".", "dockerfile": "Dockerfile.db", "tags": ["docker.io/username/db"]},
            "webapp-dev": dev,
            "webapp-release": {**dev, "platforms": ["linux/amd64", "linux/arm64"]},
        },
    }


@pytest.mark.parametrize(
    ("build", "key", "value"),
    [
        ("context: dir", "context", "dir"),
        ("dockerfile_inline: |\n  FROM x\n  RUN y", "dockerfile-inline", "FROM x\nRUN y\n"),
        ("args: {A: 1.10, B: true, C: 010}", "args", {"A": "1.1", "B": "true", "C": "010"}),
        ("args: [A=1, HOST_VALUE, UNSET]", "args", {"A": "1", "HOST_VALUE": "h"}),
        ("target: stage", "target", "stage"),
        ("labels: {a: b}", "labels", {"a": "b"}),
        ("labels: [a=b]", "labels", {"a": "b"}),
        ("network: none", "network", "none"),
        ("shm_size: 128m", "shm-size", "128MiB"),
        ("ulimits: {nofile: 1024}", "ulimits", ["nofile=1024:1024"]),
        ("ulimits: {nofile: {soft: 1, hard: 2}}", "ulimits", ["nofile=1:2"]),
        ("extra_hosts: ['a=1.2.3.4', 'b:::1']", "extra-hosts", {"a": "1.2.3.4", "b": "::1"}),
        ("ssh: [default, key=/k]", "ssh", [{"id": "default"}, {"id": "key", "paths": ["/k"]}]),
        ("additional_contexts: {x: ./y, z: 'service:web.b'}", "contexts", {"x": "y", "z": "target:web_b"}),
        ("no_cache: true", "no-cache", True),
        ("pull: true", "pull", True),
        ("platforms: [linux/arm64]", "platforms", ["linux/arm64"]),
        ("provenance: mode=max", "attest", [{"mode": "max", "type": "provenance"}]),
        ("sbom: true", "attest", [{"type": "sbom"}]),
        ("x-bake: {output: type=docker}", "output", [{"type": "docker"}]),
        ("x-bake: {tags: 'a b'}", "tags", ["a", "b"]),
        ("x-bake: {no-cache: true}", "no-cache", True),
        ("args: {A: '${NAME:-none}', B: \"$$x\"}", "args", {"A": "none", "B": "$x"}),
    ],
)
def test_a_key_of_build(build: str, key: str, value: Any) -> None:
    rest = "  web.b:\n    build: .\n"
    assert service(build, rest=rest, variables={"HOST_VALUE": "h"})[key] == value


def test_secrets_come_from_the_top_of_the_file() -> None:
    rest = "secrets:\n  one: {file: ./one.txt}\n  two: {environment: TWO}\n"
    assert service("secrets: [one, {source: two}]", rest=rest)["secret"] == [
        {"id": "one", "src": "one.txt"},
        {"id": "two", "env": "TWO"},
    ]


def test_services_without_build_are_no_targets() -> None:
    text = "services:\n  db:\n    image: postgres\n  web:\n    build: ./web\n"
    assert list(printed(text, name="compose.yml")["target"]) == ["web"]


def test_a_variable_that_is_not_set_is_told_of() -> None:
    warnings: list[str] = []
    read({"compose.yaml": "services:\n  a:\n    build: ./$DIR\n"}, {}, warnings)
    assert warnings == ["the variable DIR of the Compose file is not set: it is taken as empty"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("include: [a.yaml]\n", "cannot read a.yaml: no other file is read here", "compose.yaml:1:11"),
        ("services:\n  b:\n    extends: {service: a}\n", 'there is no service "a"', "compose.yaml:3:14"),
        ("services:\n  b:\n    extends: b\n", 'the service "b" extends itself', "compose.yaml:3:14"),
        (
            "services:\n  b:\n    extends: {service: a, file: x.yaml}\n",
            "cannot read x.yaml: no other file is read here",
            "compose.yaml:3:14",
        ),
        ("services:\n  b: {}\n", 'the service "b" has neither image nor build', "compose.yaml:2:6"),
        ("x: {}\n", "the Compose file has no services", "compose.yaml:1:1"),
    ],
)
def test_what_files_cannot_take_from_others(text: str, message: str, place: str) -> None:
    with pytest.raises(BakeError) as caught:
        read({"compose.yaml": text}, {})
    assert (caught.value.message, str(caught.value.location)) == (message, place)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("dockerfil: x", 'unknown key of build "dockerfil"'),
        ("x-bake: {nothing: x}", 'unknown key of x-bake "nothing"'),
        ("args: x", "args: a list is needed, not a string"),
        ("secrets: [none]", 'there is no secret "none"'),
        ("privileged: true", "privileged builds are not supported"),
        ("no_cache: maybe", '"maybe" is neither true nor false'),
        ("context: ${X", '"${" is not closed by "}"'),
        ("context: ${X:?give it}", "required variable X is missing a value: give it"),
    ],
)
def test_what_build_cannot_say(build: str, message: str) -> None:
    with pytest.raises(BakeError) as caught:
        service(build)
    assert caught.value.message.removeprefix("args: ") == message.removeprefix("args: ")
    assert caught.value.location is not None
    assert caught.value.location.line == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "a"),
        ("${A}", "a"),
        ("${A}b", "ab"),
        ("$$A", "$A"),
        ("${NO:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NO-d}", "d"),
        ("${A:+r}", "r"),
        ("${EMPTY:+r}", ""),
        ("${EMPTY+r}", "r"),
        ("${NO+r}", ""),
        ("${A:?e}", "a"),
        ("${NO:-${A}x}", "ax"),
        ("a $ b $1", "a $ b $1"),
    ],
)
def test_interpolation(text: str, value: str) -> None:
    assert interpolate(text, {"A": "a", "EMPTY": ""}, lambda _: None) == value


@pytest.mark.parametrize("text", ["${", "${1}", "${A b}", "${NO?}", "${EMPTY:?x}"])
def test_interpolation_refuses(text: str) -> None:
    with pytest.raises(ValueProblem):
        interpolate(text, {"EMPTY": ""}, lambda _: None)


def test_the_env_file() -> None:
    text = "# c\nA=1\nexport B = two words # c\nC='x # y'\nD=\"q\"\n\nE\nF"
    found = parse_env_file(SourceFile(".env", text), {"E": "outside"})
    assert found == {"A": "1", "B": "two words", "C": "x # y", "D": "q", "E": "outside"}


@pytest.mark.parametrize(
    ("text", "place"), [("A=1\n= x", ".env:2:1"), ("A='x", ".env:1:3"), ('B="', ".env:1:3"), ("a b", ".env:1:1")]
)
def test_what_an_env_file_cannot_say(text: str, place: str) -> None:
    with pytest.raises(BakeError) as caught:
        parse_env_file(SourceFile(".env", text), {})
    assert str(caught.value.location) == place


def test_a_small_text_that_stands_for_a_huge_one() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
    )
    with pytest.raises(BakeError, match="stands for more than"):
        read({"compose.yaml": bomb}, {})
