"""Names against distribution/reference v0.6.0, docker's own parser.

The tables were checked with that package (ParseNormalizedNamed, TagNameOnly, FamiliarString). Where pyoci departs from
it on purpose, a test says so.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.digest import Digest
from pyoci.errors import UsageError
from pyoci.reference import Reference, parse_reference

ZEROS = "sha256:" + "0" * 64
HEX = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "suffix", "familiar"),
    [
        ("alpine", "docker.io", "library/alpine", ":latest", "alpine:latest"),
        ("alpine:3.20", "docker.io", "library/alpine", ":3.20", "alpine:3.20"),
        ("docker.io/alpine", "docker.io", "library/alpine", ":latest", "alpine:latest"),
        ("index.docker.io/alpine", "docker.io", "library/alpine", ":latest", "alpine:latest"),
        ("index.docker.io/library/alpine:1", "docker.io", "library/alpine", ":1", "alpine:1"),
        ("registry-1.docker.io/library/alpine", "registry-1.docker.io", "library/alpine", ":latest", None),
        ("library/foo/bar", "docker.io", "library/foo/bar", ":latest", "library/foo/bar:latest"),
        ("team/app", "docker.io", "team/app", ":latest", "team/app:latest"),
        ("localhost/app", "localhost", "app", ":latest", None),
        ("localhost:5000/app:1", "localhost:5000", "app", ":1", None),
        ("localhost:5000", "docker.io", "library/localhost", ":5000", "localhost:5000"),
        ("test.com:5000", "docker.io", "library/test.com", ":5000", "test.com:5000"),
        ("192.168.0.1", "docker.io", "library/192.168.0.1", ":latest", "192.168.0.1:latest"),
        ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", ":5050", None),
        ("test_com/foo", "docker.io", "test_com/foo", ":latest", "test_com/foo:latest"),
        ("foo_bar.com:8080", "docker.io", "library/foo_bar.com", ":8080", "foo_bar.com:8080"),
        ("Foo/bar", "Foo", "bar", ":latest", None),
        ("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000", "repo", ":tag", None),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", ":latest", None),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", ":xn--n3h.com", None),
        (
            "b.gcr.io/test.example.com/my-app:test.example.com",
            "b.gcr.io",
            "test.example.com/my-app",
            ":test.example.com",
            None,
        ),
        (
            "docker---rules/dock__er",
            "docker.io",
            "docker---rules/dock__er",
            ":latest",
            "docker---rules/dock__er:latest",
        ),
        ("lowercase:Uppercase", "docker.io", "library/lowercase", ":Uppercase", "lowercase:Uppercase"),
        ("a:" + "T" * 128, "docker.io", "library/a", ":" + "T" * 128, "a:" + "T" * 128),
        ("a:_x.-", "docker.io", "library/a", ":_x.-", "a:_x.-"),
        (f"app@{ZEROS}", "docker.io", "library/app", f"@{ZEROS}", f"app@{ZEROS}"),
        (f"app:1@{ZEROS}", "docker.io", "library/app", f":1@{ZEROS}", f"app:1@{ZEROS}"),
        (f"docker.io/{HEX}", "docker.io", f"library/{HEX}", ":latest", f"{HEX}:latest"),
        (f"{HEX}:x", "docker.io", f"library/{HEX}", ":x", f"{HEX}:x"),
        (f"{HEX}@{ZEROS}", "docker.io", f"library/{HEX}", f"@{ZEROS}", f"{HEX}@{ZEROS}"),
        (HEX[:-1], "docker.io", f"library/{HEX[:-1]}", ":latest", f"{HEX[:-1]}:latest"),
        ("a/" * 127 + "b", "docker.io", "a/" * 127 + "b", ":latest", "a/" * 127 + "b:latest"),
    ],
)
def test_names_are_completed_as_docker_does(
    text: str, registry: str, repository: str, suffix: str, familiar: str | None
) -> None:
    reference = parse_reference(text)
    assert (reference.registry, reference.repository) == (registry, repository)
    assert str(reference) == f"{registry}/{repository}{suffix}"
    assert reference.familiar == (familiar or str(reference))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":justtag",
            f"@{ZEROS}",
            "a@",
            "a:",
            "/",
            "a/",
            "/a",
            "a//b",
            "docker///docker",
            "a b",
            "a\n",
            "a:b:c",
            "é",
        ),
        *("https://github.com/docker/docker", "Uppercase:tag", "docker/Docker", "test:5000/Upper/lower", "localhost/A"),
        *(
            "-docker",
            "docker-/x",
            "_a/_b",
            "____/____",
            "dock..er/x",
            "dock_.er/x",
            "dock-.er/x",
            "a___b",
            "aa/asdf$$^/aa",
        ),
        *(
            "-docker.io/x",
            "host:/x",
            "host:a/x",
            "[fc00::1]",
            "[fc00::1]:5000",
            "fc00::1:5000/x",
            "[fe80::1%eth0]:5000/x",
        ),
        *(
            "a:-x",
            "a:.x",
            "a:" + "t" * 129,
            "a:é",
            "a:b\n",
            "a@sha256:" + "f" * 63,
            "a@sha256:" + "F" * 64,
            "a@md5:" + "0" * 32,
        ),
        *(f"a@{ZEROS}@{ZEROS}", f"a@{ZEROS}:tag", "a/" * 128 + "b", "a/" * 127 + "bb", HEX),
    ],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid reference"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "foo_bar.com/x",
            "docker reads a first part with a dot that is no host name as a repository of no registry at all",
        ),
        (
            "a@sha384:" + "0" * 96,
            "no registry serves it, image-spec does not register it, and the store cannot file it",
        ),
    ],
)
def test_what_only_docker_accepts(text: str, reason: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("App", 'invalid reference "App": "App" is not a repository name', "repository names are lower case"),
        ("app:-1", 'invalid reference "app:-1": "-1" is not a tag', None),
        (HEX, f'invalid reference "{HEX}": 64 hex digits are an ID, not a repository name', "name the image instead"),
        ("h:x/app", 'invalid reference "h:x/app": "h:x" is not a registry host', None),
        (
            "app@sha256:12",
            'invalid reference "app@sha256:12": "sha256:12" is not a sha256 digest',
            "it needs 64 lower-case hex digits",
        ),
    ],
)
def test_the_error_says_which_part_is_wrong(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint


def test_the_default_tag_can_be_another_or_none() -> None:
    assert parse_reference("a", default_tag="edge").tag == "edge"
    assert parse_reference("a", default_tag=None) == Reference("docker.io", "library/a")
    assert parse_reference(f"a@{ZEROS}", default_tag="edge").tag is None


def test_pinning_keeps_the_tag_and_tagging_drops_the_pin() -> None:
    reference = parse_reference("a:1")
    pinned = reference.with_digest(Digest(ZEROS))
    assert str(pinned) == f"docker.io/library/a:1@{ZEROS}"
    assert pinned.with_tag("2") == parse_reference("a:2")


parts = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,3})?", fullmatch=True)
hosts = st.sampled_from(["docker.io", "localhost", "localhost:5000", "ghcr.io", "[::1]:5000", "10.0.0.1:443"])
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)


@given(hosts, st.lists(parts, min_size=1, max_size=3), st.none() | tags, st.none() | st.just(Digest(ZEROS)))
def test_a_full_name_reads_back_as_itself(host: str, path: list[str], tag: str | None, digest: Digest | None) -> None:
    repository = "/".join(path)
    if host == "docker.io" and len(path) == 1:
        repository = f"library/{repository}"
    if tag is None and digest is None:
        tag = "latest"
    reference = Reference(host, repository, tag, digest)
    assert parse_reference(str(reference)) == reference


@given(st.text(alphabet=st.sampled_from("aA0._-:/@[]%\n é"), max_size=12) | st.text(max_size=8))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference
