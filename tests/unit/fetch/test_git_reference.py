"""Git references against what BuildKit v0.34.2 (frontend/dockerfile/dfgitutil.ParseGitRef) makes of the same strings.

Two things are ours: an unsaid protocol is https in `remote`, and a query's subdirectory is cleaned as a fragment's is.
"""

from __future__ import annotations

import pytest

from pyoci.errors import UsageError
from pyoci.fetch.git_reference import GitReference, is_commit, parse_git_reference

REFERENCES = [
    ("https://example.com/foo.git", GitReference("https://example.com/foo.git")),
    ("http://example.com/foo.git", GitReference("http://example.com/foo.git")),
    ("https://example.com/foo.git#main", GitReference("https://example.com/foo.git", reference="main")),
    (
        "https://example.com/foo.git#release/1.2:sub/dir",
        GitReference("https://example.com/foo.git", reference="release/1.2", subdirectory="sub/dir"),
    ),
    ("https://example.com/foo.git#:sub", GitReference("https://example.com/foo.git", subdirectory="sub")),
    (
        "https://example.com/foo.git#main:../../up",
        GitReference("https://example.com/foo.git", reference="main", subdirectory="up"),
    ),
    (
        "https://example.com/foo.git#a%20b:c%2Fd",
        GitReference("https://example.com/foo.git", reference="a b", subdirectory="c/d"),
    ),
    (
        "https://user:pass@example.com:8443/foo.git#main",
        GitReference("https://user:pass@example.com:8443/foo.git", reference="main"),
    ),
    ("HTTPS://example.com/foo.git", GitReference("https://example.com/foo.git")),
    ("https://example.com/a b.git", GitReference("https://example.com/a%20b.git")),
    ("https://example.com/a%2Fb.git", GitReference("https://example.com/a%2Fb.git")),
    ("https://[::1]:8080/foo.git", GitReference("https://[::1]:8080/foo.git")),
    ("git://example.com/foo", GitReference("git://example.com/foo")),
    ("git://example.com/foo#v1", GitReference("git://example.com/foo", reference="v1")),
    ("ssh://git@example.com:2222/foo/bar", GitReference("ssh://git@example.com:2222/foo/bar")),
    ("git@example.com:foo/bar.git", GitReference("git@example.com:foo/bar.git")),
    ("git@example.com:foo/bar#v1:docs", GitReference("git@example.com:foo/bar", reference="v1", subdirectory="docs")),
    (
        "git@example.com:foo?tag=v1&subdir=docs",
        GitReference("git@example.com:foo", reference="refs/tags/v1", subdirectory="docs"),
    ),
    ("user@host:", GitReference("user@host:")),
    ("github.com/foo/bar", GitReference("https://github.com/foo/bar", looks_local=True)),
    (
        "github.com/foo/bar#main:docs",
        GitReference("https://github.com/foo/bar", reference="main", subdirectory="docs", looks_local=True),
    ),
    (
        "github.com/foo/bar?tag=v1",
        GitReference("https://github.com/foo/bar", reference="refs/tags/v1", looks_local=True),
    ),
    ("https://example.com/foo.git?ref=main", GitReference("https://example.com/foo.git", reference="main")),
    ("https://example.com/foo.git?ref=main#main", GitReference("https://example.com/foo.git", reference="main")),
    ("https://example.com/foo.git?tag=v1", GitReference("https://example.com/foo.git", reference="refs/tags/v1")),
    (
        "https://example.com/foo.git?tag=refs/tags/v1",
        GitReference("https://example.com/foo.git", reference="refs/tags/v1"),
    ),
    ("https://example.com/foo.git?branch=dev", GitReference("https://example.com/foo.git", reference="refs/heads/dev")),
    (
        "https://example.com/foo.git?branch=refs/heads/dev",
        GitReference("https://example.com/foo.git", reference="refs/heads/dev"),
    ),
    (
        "https://example.com/foo.git?branch=dev#refs/heads/dev",
        GitReference("https://example.com/foo.git", reference="refs/heads/dev"),
    ),
    (
        "https://example.com/foo.git?subdir=docs#main:docs",
        GitReference("https://example.com/foo.git", reference="main", subdirectory="docs"),
    ),
    ("https://example.com/foo.git?checksum=abc123", GitReference("https://example.com/foo.git", checksum="abc123")),
    ("https://example.com/foo.git?commit=abc123", GitReference("https://example.com/foo.git", checksum="abc123")),
    ("https://example.com/foo.git?keep-git-dir", GitReference("https://example.com/foo.git", keep_git_directory=True)),
    (
        "https://example.com/foo.git?keep-git-dir=0",
        GitReference("https://example.com/foo.git", keep_git_directory=False),
    ),
    ("https://example.com/foo.git?submodules=false", GitReference("https://example.com/foo.git", submodules=False)),
    ("https://example.com/foo.git?submodules", GitReference("https://example.com/foo.git", submodules=True)),
    ("https://example.com/foo.git?mtime=commit", GitReference("https://example.com/foo.git", mtime="commit")),
    (
        "https://example.com/foo.git?fetch-by-commit&checksum=abc#main",
        GitReference("https://example.com/foo.git", reference="main", checksum="abc", fetch_by_commit=True),
    ),
    ("https://example.com/foo.git?ref=a;b", GitReference("https://example.com/foo.git")),
]

NO_REFERENCES = [
    "https://example.com/",
    "https://example.com/foo",
    "https://example.com/foo.git/",
    "https://example.com/foo.git.zip",
    "https://example.com/foo.git:#main",
    "https://exa mple.com/foo.git",
    "https://example.com:x/foo.git",
    "https://example.com/%zz.git",
    "ssh://git@example.com:foo/bar.git",
    "deploy-user@host_name:foo",
    "me@example.com",
    "ftp://example.com/foo.git",
    "file:///srv/foo.git",
    "./foo.git",
    "../foo.git",
    "foo.git",
    "example.com/foo.git",
    "github.com",
    "git@example.com:foo?ref=a;b",
]

CONTRADICTIONS = [
    ("https://example.com/foo.git?ref=main#other", 'ref conflicts: "other" vs "main"'),
    ("https://example.com/foo.git?tag=v1&branch=dev", "branch conflicts with tag"),
    ("https://example.com/foo.git?ref=v1&tag=v1", 'ref conflicts: "v1" vs "refs/tags/v1"'),
    ("https://example.com/foo.git?subdir=docs#main:other", 'subdir conflicts: "other" vs "docs"'),
    ("https://example.com/foo.git?keep-git-dir=maybe", 'invalid keep-git-dir value: "maybe"'),
    ("https://example.com/foo.git?mtime=now", 'invalid mtime value: "now" (must be "checkout" or "commit")'),
    ("https://example.com/foo.git?ref=", 'query "ref" has no value'),
    ("https://example.com/foo.git?ref=a&ref=b", 'query "ref" has multiple values'),
    ("https://example.com/foo.git?depth=1", 'unexpected query "depth"'),
]


@pytest.mark.parametrize(("text", "reference"), REFERENCES)
def test_references(text: str, reference: GitReference) -> None:
    assert parse_git_reference(text) == reference


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_other_strings_are_none(text: str) -> None:
    assert parse_git_reference(text) is None


@pytest.mark.parametrize(("text", "message"), CONTRADICTIONS)
def test_contradictions(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_git_reference(text)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # BuildKit finds these out when it fetches: source/git validateGitRef and resolveMetadata.
        ("https://example.com/foo.git#--upload-pack=touch", 'invalid git ref "--upload-pack=touch"'),
        (
            "https://example.com/foo.git?tag=v1&checksum=xyz",
            "invalid checksum xyz for Git URL, expected hex commit hash",
        ),
    ],
)
def test_what_git_must_not_be_given(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_git_reference(text)
    assert caught.value.message == message


def test_a_checksum_is_compared_in_lower_case() -> None:
    found = parse_git_reference("https://example.com/foo.git?checksum=ABC")
    assert found is not None
    assert found.checksum == "abc"


@pytest.mark.parametrize(
    ("text", "ssh"),
    [("git@host:foo", True), ("ssh://host/foo", True), ("SSH://host/foo", True), ("git://host/foo", False)],
)
def test_ssh_is_told_by_the_form(text: str, ssh: bool) -> None:
    found = parse_git_reference(text)
    assert found is not None
    assert found.is_ssh is ssh


def test_commits_are_whole_and_lower_case() -> None:
    assert is_commit("a" * 40)
    assert is_commit("0" * 64)
    assert not is_commit("a" * 39)
    assert not is_commit("A" * 40)
    assert not is_commit("a" * 40 + "\n")
