"""The build checks: every rule finds, keeps silent, and can be skipped. Messages are what BuildKit prints."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.checks import CheckOptions, parse_check_options
from pyoci.dockerfile.findings import BaseImage, CheckInputs
from pyoci.dockerfile.lint import check_dockerfile
from pyoci.dockerfile.patterns import PatternSet
from pyoci.dockerfile.rules import RULES
from pyoci.platforms import Platform
from tests.unit.dockerfile.reading import read

AMD64 = Platform("linux", "amd64")
BUILTINS = {"BUILDPLATFORM": "linux/amd64", "TARGETPLATFORM": "linux/amd64", "TARGETARCH": "amd64"}


def base_image(name: str, platform: Platform) -> BaseImage | None:
    if name == "unknown":
        return None
    if name == "arm":
        return BaseImage(platform=Platform("linux", "arm64"))
    if name == "bash":
        return BaseImage(shell=("/bin/bash", "-c"), env={"BASE": "1"}, on_build=("ENV FROM_BASE=1", "not one"))
    return BaseImage(env={"BASE": "1"}, platform=platform)


def found(text: str, *, ignore: PatternSet | None = None, **build_args: str) -> list[tuple[str, str, int]]:
    inputs = CheckInputs(
        builtins=BUILTINS, target_platform=AMD64, build_args=build_args, base_image=base_image, ignore=ignore
    )
    findings = check_dockerfile(read(text), inputs)
    return [(finding.rule.name, finding.message, finding.lines[0]) for finding in findings]


CASES = [
    ("FROM x AS Build\n", "StageNameCasing", "Stage name 'Build' should be lowercase", 1),
    ("FROM x as build\n", "FromAsCasing", "'as' and 'FROM' keywords' casing do not match", 1),
    ("from x AS build\n", "FromAsCasing", "'AS' and 'from' keywords' casing do not match", 1),
    ("FROM x\nRUN a \\\n\n b\n", "NoEmptyContinuation", "Empty continuation line", 4),
    (
        "FROM x\nrun a\nRUN b\n",
        "ConsistentInstructionCasing",
        "Command 'run' should match the case of the command majority (uppercase)",
        2,
    ),
    (
        "from x\nrun a\nRun b\n",
        "ConsistentInstructionCasing",
        "Command 'Run' should match the case of the command majority (lowercase)",
        3,
    ),
    ("FROM x AS a\nFROM x AS A\n", "DuplicateStageName", 'Duplicate stage name "a", stage names should be unique', 2),
    (
        "FROM x AS context\n",
        "ReservedStageName",
        'Stage name should not use the same name as reserved stage "context"',
        1,
    ),
    (
        "FROM x\nCMD a\n",
        "JSONArgsRecommended",
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        2,
    ),
    (
        "FROM x\nMAINTAINER me\n",
        "MaintainerDeprecated",
        "Maintainer instruction is deprecated in favor of using label",
        2,
    ),
    (
        "ARG TAG=1\nFROM x:${TGA:-1}\n",
        "UndefinedArgInFrom",
        "FROM argument 'TGA' is not declared (did you mean TAG?)",
        2,
    ),
    ("FROM x:${NOTHING:-1}\n", "UndefinedArgInFrom", "FROM argument 'NOTHING' is not declared", 1),
    (
        "FROM x\nWORKDIR a\nWORKDIR b\n",
        "WorkdirRelativePath",
        'Relative workdir "a" can have unexpected results if the base image changes',
        2,
    ),
    (
        "# escape=`\nFROM x\nWORKDIR c:\\a\n",
        "WorkdirRelativePath",
        'Relative workdir "c:\\\\a" can have unexpected results if the base image changes',
        3,
    ),
    ("FROM x\nENV VAR=1\nUSER $VRA\n", "UndefinedVar", "Usage of undefined variable '$VRA' (did you mean $VAR?)", 3),
    ("FROM x\nCOPY <<E /x\n$nothing_like_it\nE\n", "UndefinedVar", "Usage of undefined variable '$nothing_like_it'", 2),
    ("FROM x\nARG a=$nothing_like_it\n", "UndefinedVar", "Usage of undefined variable '$nothing_like_it'", 2),
    (
        'FROM x\nCMD ["a"]\nCMD ["b"]\n',
        "MultipleInstructionsDisallowed",
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
        2,
    ),
    (
        "FROM x\nENV a b\n",
        "LegacyKeyValueFormat",
        '"ENV key=value" should be used instead of legacy "ENV key value" format',
        2,
    ),
    (
        "FROM arm\n",
        "InvalidBaseImagePlatform",
        'Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
        1,
    ),
    (
        "FROM --platform=${TARGETPLATFORM} x\n",
        "RedundantTargetPlatform",
        "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior",
        1,
    ),
    (
        "FROM x\nARG API_KEY\n",
        "SecretsUsedInArgOrEnv",
        'Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
        2,
    ),
    (
        "FROM x\nENV password=1\n",
        "SecretsUsedInArgOrEnv",
        'Do not use ARG or ENV instructions for sensitive data (ENV "password")',
        2,
    ),
    (
        "ARG TAG\nFROM x:$TAG\n",
        "InvalidDefaultArgInFrom",
        "Default value for ARG x:$TAG results in empty or invalid base image name",
        2,
    ),
    (
        "FROM --platform=linux/arm64 x\n",
        "FromPlatformFlagConstDisallowed",
        'FROM --platform flag should not use constant value "linux/arm64"',
        1,
    ),
    (
        "FROM x\nEXPOSE 80/TCP\n",
        "ExposeProtoCasing",
        "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
        2,
    ),
    (
        "FROM x\nEXPOSE 127.0.0.1:80:80\n",
        "ExposeInvalidFormat",
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
        2,
    ),
    (
        "# check=experimental=all\n\n# other words\nARG a b\nFROM x\n",
        "InvalidDefinitionDescription",
        "Comment for ARG should follow the format: `# <arg_key> <description>`",
        4,
    ),
    (
        "# check=experimental=InvalidDefinitionDescription\n# other words\nFROM x AS a\n",
        "InvalidDefinitionDescription",
        "Comment for FROM should follow the format: `# a <description>`",
        3,
    ),
]


@pytest.mark.parametrize(("text", "rule", "message", "line"), CASES, ids=[f"{c[1]}-{i}" for i, c in enumerate(CASES)])
def test_what_a_rule_finds(text: str, rule: str, message: str, line: int) -> None:
    assert (rule, message, line) in found(text)


def test_every_rule_has_a_case() -> None:
    assert {case[1] for case in CASES} | {"CopyIgnoredFile"} == set(RULES)
    assert len(RULES) == 22


@pytest.mark.parametrize(("text", "rule"), [case[:2] for case in CASES if not RULES[case[1]].experimental])
def test_every_rule_can_be_skipped_in_the_file(text: str, rule: str) -> None:
    assert rule not in {name for name, _, _ in found(f"# check=skip=Other,{rule}\n{text}")}
    assert not found(f"# check=skip=all\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "FROM x AS build\nFROM build\n",
        "from x as build\n",
        'FROM x\nCMD ["a"]\nENTRYPOINT ["b"]\n',
        'FROM x\nSHELL ["/bin/bash", "-c"]\nCMD a\n',
        "FROM bash\nCMD a\n",
        "FROM x\nWORKDIR /a\nWORKDIR b\n",
        "FROM x AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n",
        "FROM x\nUSER $BASE\n",
        "FROM unknown\nUSER $anything\n",
        "FROM unknown AS a\nFROM a\nUSER $anything\n",
        "FROM bash\nUSER $FROM_BASE\n",
        "FROM x\nARG a\nUSER $a\n",
        "FROM x AS a\nARG v\nFROM a\nUSER $v\n",
        "FROM x AS a\nONBUILD ENV v=1\nFROM a\nUSER $v\n",
        "FROM x\nRUN echo $anything\n",
        "FROM x\nARG TOKEN_FILE PUBLIC_KEY KEY_VERSION MONKEY\n",
        "FROM --platform=linux/arm64 x AS linux-arm\n",
        "FROM --platform=$BUILDPLATFORM x\n",
        "ARG TAG\nFROM x:${TAG:-1}\n",
        "# a text\nARG b\nFROM x\n",
        "FROM x\nEXPOSE 80/tcp $BASE\n",
        "FROM scratch\nUSER $PATH\n",
    ],
)
def test_where_nothing_is_found(text: str) -> None:
    assert found(text) == []


def test_a_comment_above_an_instruction_skips_for_it_alone() -> None:
    text = "FROM x\n# check=skip=UndefinedVar\nUSER $zzzzzz\nUSER $zzzzzz\n"
    assert [(rule, line) for rule, _, line in found(text)] == [("UndefinedVar", 4)]


def test_only_the_stages_that_count_are_walked() -> None:
    dockerfile = read("FROM x AS a\nCMD a\nFROM x\nCMD b\n")
    inputs = CheckInputs(builtins=BUILTINS, target_platform=AMD64, base_image=base_image, stages=frozenset({1}))
    assert [finding.lines for finding in check_dockerfile(dockerfile, inputs)] == [(4, 4)]


def test_build_arguments_count() -> None:
    text = "ARG TAG=1\nFROM x:$TAG\nARG name\nUSER $name\n"
    assert found(text, TAG="2", name="n") == []


@pytest.mark.parametrize(
    ("source", "patterns", "expected"),
    [
        ("a", ["a"], True),
        ("a/b", ["a"], True),
        ("./a/../b", ["b"], True),
        ("b", ["a"], False),
        (".", ["a"], False),
        (".", ["*"], True),
        ("a", ["a", "!a/b"], False),
        ("--from=x a", ["a"], False),
        ("https://a/b", ["**"], False),
    ],
)
def test_ignored_files(source: str, patterns: list[str], *, expected: bool) -> None:
    results = found(f"FROM x\nADD {source} /x\n" if "--from" not in source else f"FROM x\nCOPY {source} /x\n",
                    ignore=PatternSet(patterns))  # fmt: skip
    assert (("CopyIgnoredFile" in {rule for rule, _, _ in results}) is expected) or not expected


def test_the_message_of_an_ignored_file() -> None:
    rule, message, line = found("FROM x\nCOPY ./a b /x\n", ignore=PatternSet(["a"]))[0]
    assert (rule, line) == ("CopyIgnoredFile", 2)
    assert message == 'Attempting to Copy file "a" that is excluded by .dockerignore'


def test_a_finding_points_at_the_word() -> None:
    inputs = CheckInputs(builtins=BUILTINS, target_platform=AMD64, base_image=base_image)
    (finding,) = check_dockerfile(read("FROM x\nCOPY a \\\n  $zzzzz \\\n  b\n"), inputs)
    assert (finding.location.line, finding.location.column, finding.lines) == (3, 3, (2, 4))


def test_check_options() -> None:
    assert parse_check_options("skip=A, B;error=1") == CheckOptions(skip=frozenset({"A", "B"}), error=True)
    assert parse_check_options("experimental=all;skip=all") == CheckOptions(experimental_all=True, skip_all=True)
    assert parse_check_options("") == CheckOptions()
    for text in ("x", "skip", "error=maybe", "skip=A;x=1"):
        with pytest.raises(ValueError, match=r".*"):
            parse_check_options(text)


def test_options_from_outside_stand_in_for_those_of_the_file() -> None:
    inputs = CheckInputs(builtins=BUILTINS, target_platform=AMD64, base_image=base_image)
    dockerfile = read("# check=skip=all\nFROM x\nCMD a\n")
    assert check_dockerfile(dockerfile, inputs) == []
    assert len(check_dockerfile(dockerfile, inputs, options=CheckOptions())) == 1


@pytest.mark.parametrize(("path", "relative"), [("c:/a", False), ("/a", False), ("a", True), ("d:/a", True)])
def test_a_relative_workdir_for_windows(path: str, *, relative: bool) -> None:
    inputs = CheckInputs(builtins={}, target_platform=Platform("windows", "amd64"))
    findings = check_dockerfile(read(f"FROM x\nWORKDIR {path}\n"), inputs)
    rules = [finding.rule.name for finding in findings]
    assert ("WorkdirRelativePath" in rules) == relative
