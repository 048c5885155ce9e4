"""Where the files of a target are. What buildx prints for them is in fixtures/bake."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.api.bake_places import places_of, uses_git_secrets
from pyoci.api.bake_remote import Remote, git_host, is_remote
from pyoci.api.contexts import NO_FILES
from pyoci.bake.target import Target
from pyoci.errors import UsageError

GIT = Remote("https://example.com/p.git#v1:base", "git", NO_FILES.files)
FILE = Remote("https://example.com/docker-bake.hcl", "file", NO_FILES.files)


def target(**fields: Any) -> Target:
    return Target("t", **fields)


@pytest.mark.parametrize(
    ("given", "remote", "context", "file", "local"),
    [
        (target(), None, ".", "Dockerfile", (".", "Dockerfile")),
        (target(context="./a/", dockerfile="b/D"), None, "a", "a/b/D", ("a", "a/b/D")),
        (target(context="a", dockerfile="cwd://D"), None, "a", "D", ("a", "D")),
        (target(context="a", dockerfile="/abs/D"), None, "a", "/abs/D", ("a", "/abs/D")),
        (target(context="https://x.org/y.git", dockerfile="D"), None, "https://x.org/y.git", "D", ()),
        (target(dockerfile="https://x.org/D"), None, ".", "https://x.org/D", (".",)),
        (target(context="a", dockerfile_inline="FROM scratch"), None, "a", "a/Dockerfile", ("a",)),
        (target(), GIT, "https://example.com/p.git#v1:base", "Dockerfile", ()),
        (target(context="a", dockerfile="D"), GIT, "https://example.com/p.git#v1:base/a", "D", ()),
        (target(context="../../a"), GIT, "https://example.com/p.git#v1:a", "Dockerfile", ()),
        (target(context="cwd://a", dockerfile="cwd://D"), GIT, "a", "D", ("a", "D")),
        (target(context="a"), FILE, "a", "a/Dockerfile", ("a", "a/Dockerfile")),
    ],
)
def test_context_and_dockerfile(
    given: Target, remote: Remote | None, context: str, file: str, local: tuple[str, ...]
) -> None:
    found = places_of(given, remote)
    assert (found.context, found.file, found.local) == (context, file, local)


@pytest.mark.parametrize(
    ("value", "placed", "local"),
    [
        ("dir", "dir", "dir"),
        ("cwd://dir", "dir", "dir"),
        ("target:x", "target:x", None),
        ("docker-image://alpine", "docker-image://alpine", None),
        ("https://example.com/x.tar", "https://example.com/x.tar", None),
        ("oci-layout:///l/o:tag", "oci-layout:///l/o:tag", "/l/o"),
        ("oci-layout://l@sha256:00", "oci-layout://l@sha256:00", "l"),
        ("docker-archive:/a.tar", "docker-archive:/a.tar", "/a.tar"),
        ("host:", "host:", "/"),
    ],
)
def test_named_contexts(value: str, placed: str, local: str | None) -> None:
    found = places_of(target(context="https://x.org/y.git", contexts={"n": value}))
    assert found.contexts == {"n": placed}
    assert found.local == (() if local is None else (local,))


@pytest.mark.parametrize(
    ("given", "remote", "message"),
    [
        (target(context="-"), None, "the context cannot come from standard input"),
        (target(dockerfile="-"), None, "the Dockerfile cannot come from standard input"),
        (
            target(context="cwd://."),
            GIT,
            'the Dockerfile "Dockerfile" of a context here cannot come from git definitions',
        ),
    ],
)
def test_what_is_refused(given: Target, remote: Remote | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        places_of(given, remote)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user@Example.com:8443/p.git", "example.com:8443"),
        ("git@example.com:p.git", "example.com"),
        ("ssh://git@example.com/p.git", "example.com"),
        ("github.com/a/b", "github.com"),
        ("https://example.com/x.tar", ""),
        ("dir", ""),
    ],
)
def test_the_host_of_a_repository(url: str, host: str) -> None:
    assert git_host(url) == host


def test_secrets_go_to_the_host_of_the_definition_alone() -> None:
    assert uses_git_secrets("https://example.com/other.git", GIT)
    assert not uses_git_secrets("https://example.org/p.git", GIT)
    assert not uses_git_secrets("dir", GIT)
    assert not uses_git_secrets("https://example.com/p.git", None)


@pytest.mark.parametrize("word", ["https://x", "http://x", "git://h/p.git", "git@h:p", "ssh://h/p", "github.com/a/b"])
def test_words_that_are_remote(word: str) -> None:
    assert is_remote(word)


@pytest.mark.parametrize("word", ["app", "app-*", "./x", "default", "a.b"])
def test_words_that_are_not(word: str) -> None:
    assert not is_remote(word)
