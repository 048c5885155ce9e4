"""Laws of URLs and git references: any text is read or refused with words, and no password is ever shown."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from pyoci.errors import UsageError
from pyoci.fetch.git_reference import parse_git_reference
from pyoci.fetch.url import file_name, parse_url, public, redacted

PIECES = st.sampled_from(
    [
        *("https://", "git@", "ssh://", "github.com/", "host", ":", "/", ".git", "?", "#", "&", "=", "ref", "tag"),
        *("subdir", "..", "%", "%41", "@", "[", "]", "-", "é", "\udcff", "\n", "\x00", " ", "refs/heads/"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))
SECRETS = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=20)


@given(TEXTS)
@example("https://host/x.git?\udcff")
def test_every_text_is_a_reference_none_or_refused(text: str) -> None:
    with suppress(UsageError):
        found = parse_git_reference(text)
        if found is not None:
            assert ".." not in found.subdirectory.split("/")
            assert not found.subdirectory.startswith("/")
            assert not found.reference.startswith("-")


@given(TEXTS)
def test_every_text_is_a_url_or_refused(text: str) -> None:
    with suppress(ValueError):
        parts = parse_url(text)
        again = parse_url(parts.without_credentials)
        assert (again.scheme, again.host, again.path) == (parts.scheme, parts.host, parts.path)


@given(TEXTS)
def test_names_of_files_are_single_and_plain(text: str) -> None:
    name = file_name(text)
    assert name
    assert "/" not in name
    assert "\0" not in name
    assert name not in (".", "..")


@given(SECRETS, SECRETS, st.lists(PIECES, max_size=6).map("".join))
def test_no_password_is_shown(user: str, password: str, rest: str) -> None:
    url = f"https://{user}:{password}@host/{rest}"
    assert password not in public(url)
    assert user not in public(url)
    assert password not in redacted(url)
    assert user not in redacted(url)
