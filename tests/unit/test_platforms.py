"""Platforms against containerd/platforms v1.0.0-rc.5, docker's and BuildKit's: the tables were checked with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.errors import UsageError
from pyoci.platforms import Platform, best_match, normalized, parse_platform, platform_of_machine

AMD64 = Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/X86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/i386/v5", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/v8.2", "linux/arm64/v8.2"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm/5", "linux/arm/v5"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armhf/v6", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("macOS/arm64", "darwin/arm64"),
        ("made-up/made-up/made-up", "made-up/made-up/made-up"),
        ("arm64", "linux/arm64"),
        ("Aarch64", "linux/arm64"),
        ("armel", "linux/arm/v6"),
        ("s390x", "linux/s390x"),
        ("linux", "linux/amd64"),
        ("macOS", "darwin/amd64"),
        ("windows()", "windows/amd64"),
    ],
)
def test_spellings_of_one_platform(text: str, expected: str) -> None:
    assert str(parse_platform(text, default=AMD64)) == expected


@pytest.mark.parametrize(
    ("text", "version", "features"),
    [
        ("windows(10.0.17763)/amd64", "10.0.17763", ()),
        ("windows(10.0.17763%2Bbuild.42+win32k)", "10.0.17763+build.42", ("win32k",)),
        ("linux(+gpu)/arm64", "", ("gpu",)),
        ("linux(+b+a+a)", "", ("a", "b")),
    ],
)
def test_an_os_may_have_a_version_and_features(text: str, version: str, features: tuple[str, ...]) -> None:
    platform = parse_platform(text)
    assert (platform.os_version, platform.os_features) == (version, features)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/",
            "/linux/arm",
            "linux/arm/",
            "linux//arm",
            "linux /arm",
            "linux/&arm",
            "linux/arm/v7/x",
            "*",
            "linux/*",
        ),
        *("linux/arm/é", "made-up", "linux(", "linux(10", "linux()x", "amd64(1)", "linux/am d64"),
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_platform(text)
    assert caught.value.hint == "write it as os/architecture[/variant], such as linux/arm64"


def test_what_is_left_out_comes_from_the_default() -> None:
    arm = Platform("freebsd", "arm", "v6")
    assert str(parse_platform("linux", default=arm)) == "linux/arm/v6"
    assert str(parse_platform("arm64", default=arm)) == "freebsd/arm64"
    assert parse_platform("local", default=arm) == arm


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("i686", "linux/386"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
        ("ppc64le", "linux/ppc64le"),
    ],
)
def test_machines_as_uname_names_them(machine: str, expected: str) -> None:
    assert str(platform_of_machine("Linux", machine)) == expected


def best(wanted: str, *offered: str) -> str | None:
    return best_match(offered, parse_platform(wanted), platform_of=parse_platform)


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/386"], "linux/386"),
        ("linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3"),
        ("linux/amd64/v2", ["linux/386", "linux/amd64"], "linux/amd64"),
        ("linux/arm64/v9.1", ["linux/arm64/v8", "linux/arm64/v9"], "linux/arm64/v9"),
        ("linux/arm64/v8.1", ["linux/arm/v7", "linux/arm64"], "linux/arm64"),
        ("linux/386", ["linux/amd64"], None),
        ("linux/arm64", ["linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v8", "linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64", ["linux/arm64/v8.1"], None),
        ("linux/arm64/v8.2", ["linux/arm64", "linux/arm64/v8.1", "linux/arm64/v8.3"], "linux/arm64/v8.1"),
        ("linux/arm64/v9", ["linux/arm64/v8.6", "linux/arm64/v8.5", "linux/arm64/v8.4"], "linux/arm64/v8.5"),
        ("linux/arm64/v9.7", ["linux/arm64/v8.9"], "linux/arm64/v8.9"),
        ("linux/arm64/v9", ["linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v7", ["linux/arm64"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/amd64", ["linux(+erofs)/amd64"], None),
        ("linux(+erofs)/amd64", ["linux/amd64", "linux(+erofs)/amd64"], "linux(+erofs)/amd64"),
        ("linux(+erofs)/amd64", ["linux/amd64"], "linux/amd64"),
        ("linux/amd64", [], None),
    ],
)
def test_the_best_that_runs_is_chosen(wanted: str, offered: list[str], chosen: str | None) -> None:
    assert best(wanted, *offered) == chosen


def test_the_first_of_equals_is_chosen() -> None:
    """image-index.md: if several match, the first SHOULD be used."""
    offered = [(AMD64, "first"), (AMD64, "second")]
    assert best_match(offered, AMD64, platform_of=lambda one: one[0]) == (AMD64, "first")


def test_foreign_spellings_match_too() -> None:
    offered = [Platform("Linux", "x86_64")]
    assert best_match(offered, Platform("LINUX", "AMD64"), platform_of=lambda one: one) == offered[0]


@pytest.mark.parametrize(("os", "architecture", "runs"), [("", "amd64", True), ("linux", "", False), ("", "", False)])
def test_half_a_platform(os: str, architecture: str, runs: bool) -> None:
    """containerd takes the machine's system for one that is not named, and no architecture for none."""
    found = best_match([Platform(os, architecture)], AMD64, platform_of=lambda one: one)
    assert (found is not None) == runs


def test_what_has_no_platform_is_passed_over() -> None:
    assert best_match([1], AMD64, platform_of=lambda _: None) is None


words = st.sampled_from(
    ["linux", "Windows", "amd64", "x86_64", "arm", "armhf", "i386", "v7", "7", "8", "v8", "v8.0", "V1", "", "x"]
)


@given(words, words, words, st.lists(words).map(tuple))
def test_normalising_twice_changes_nothing(os: str, architecture: str, variant: str, features: tuple[str, ...]) -> None:
    once = normalized(Platform(os, architecture, variant, "", features))
    assert normalized(once) == once


@given(st.text(alphabet="linuxarm64/v7()+%. ", max_size=14))
def test_any_text_is_a_platform_or_an_error(text: str) -> None:
    try:
        platform = parse_platform(text)
    except UsageError:
        return
    assert normalized(platform) == platform
