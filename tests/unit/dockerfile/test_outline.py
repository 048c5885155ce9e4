"""What a Dockerfile can be asked for."""

from __future__ import annotations

from pyoci.dockerfile.findings import CheckInputs
from pyoci.dockerfile.outline import outline, targets
from pyoci.platforms import Platform
from tests.unit.dockerfile.reading import read

TEXT = """\
# GO the version of Go
ARG GO=1.24
ARG IMAGE=golang:${GO}
ARG UNUSED=1
FROM ${IMAGE} AS base
ARG TARGETARCH
ENV dir=/src
# build makes the program
FROM base AS build
# VERSION what it calls itself
ARG VERSION=${dir}-dev
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM scratch AS other
ARG NEVER=1
RUN --mount=type=secret,id=other true
FROM --platform=$BUILDPLATFORM alpine
COPY --from=build /x /x
RUN --mount=from=build,target=/y --mount=type=ssh,id=k true
ARG GO
"""
INPUTS = CheckInputs(
    builtins={"BUILDPLATFORM": "linux/amd64", "TARGETARCH": "amd64"},
    target_platform=Platform("linux", "amd64"),
    build_args={"GO": "1.25"},
)


def test_targets() -> None:
    found = [(t.name, t.description, t.base, t.platform, t.is_default) for t in targets(read(TEXT))]
    assert found == [
        ("base", "", "${IMAGE}", None, False),
        ("build", "makes the program", "base", None, False),
        ("other", "", "scratch", None, False),
        (None, "", "alpine", "$BUILDPLATFORM", True),
    ]


def test_the_outline_of_a_target() -> None:
    dockerfile = read(TEXT)
    found = outline(dockerfile, INPUTS, dockerfile.stages[3])
    assert found.name is None
    assert [(arg.name, arg.value, arg.description, arg.location.line) for arg in found.args] == [
        ("GO", "1.25", "the version of Go", 2),
        ("IMAGE", "golang:1.25", "", 3),
        ("VERSION", "/src-dev", "what it calls itself", 11),
    ]
    assert [(need.id, need.required, need.location.line) for need in found.secrets] == [("token", True, 12)]
    assert [(need.id, need.location.line) for need in found.ssh] == [("default", 12), ("k", 18)]


def test_the_outline_of_a_stage_by_itself() -> None:
    dockerfile = read(TEXT)
    found = outline(dockerfile, INPUTS, dockerfile.stages[2])
    assert [arg.name for arg in found.args] == ["NEVER"]
    assert [need.id for need in found.secrets] == ["other"]


def test_a_stage_by_its_number() -> None:
    dockerfile = read(f"FROM x\nARG a=1\nFROM x\nCOPY --from=0 b c\nCOPY --from={'9' * 5000} b c\n")
    assert [arg.name for arg in outline(dockerfile, INPUTS, dockerfile.stages[1]).args] == ["a"]


def test_a_name_is_the_nearest_stage_s() -> None:
    """Of several stages that declare an argument the target comes first, then what it builds on, then the others."""
    text = (
        "ARG TARGETARCH\n"
        "FROM x AS common\nARG a=common b=common c=common\n"
        "FROM x AS one\nARG a=one b=one d=one\nRUN --mount=type=secret,id=s true\n"
        "FROM x AS two\nARG d=two\nRUN --mount=type=secret,id=s,required true\n"
        "FROM common\nARG a=target\nARG TARGETARCH\nCOPY --from=one b c\nCOPY --from=two b c\n"
    )
    dockerfile = read(text)
    found = outline(dockerfile, INPUTS, dockerfile.stages[3])
    assert [(arg.name, arg.value, arg.location.line) for arg in found.args] == [
        ("TARGETARCH", "", 1),
        ("b", "common", 3),
        ("c", "common", 3),
        ("d", "one", 5),
        ("a", "target", 11),
    ]
    assert [(need.id, need.required, need.location.line) for need in found.secrets] == [("s", False, 6)]
