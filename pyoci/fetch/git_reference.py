"""Which strings name a git repository, and what they say about it: BuildKit's grammar.

    reference = ("http://" | "https://") … ".git" | ("ssh://" | "git://") … | user "@" host ":" path | "github.com/" …
                followed by ["?" query] ["#" [ref] [":" subdirectory]]
    query = ref= | tag= | branch= | subdir= | checksum= | commit= | keep-git-dir[=bool] | submodules[=bool]
          | fetch-by-commit[=bool] | mtime=(checkout|commit), joined by "&"

Pure. Behaviour: moby/buildkit frontend/dockerfile/dfgitutil and util/gitutil, v0.34.
"""

from __future__ import annotations

import posixpath
from typing import Literal

from pyoci.errors import UsageError
from pyoci.fetch.url import Query, parse_query, parse_url
from pyoci.regex import regex
from pyoci.values import dataclass, replace

__all__ = ["GitReference", "is_commit", "parse_git_reference"]

_TRANSPORT = regex(r"[a-zA-Z0-9]+://")
_TRANSPORTS = frozenset({"http", "https", "ssh", "git"})
_SCP = regex(r"([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):([^\n]*?)(?:\?([^\n]*?))?(?:#([^\n]*))?")
_COMMIT = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEX = regex(r"[0-9a-fA-F]+")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_MTIMES: dict[str, Literal["checkout", "commit"]] = {"checkout": "checkout", "commit": "commit"}
_KEYS = "ref, tag, branch, subdir, checksum (or commit), keep-git-dir, submodules, mtime, fetch-by-commit"


@dataclass(frozen=True, slots=True)
class GitReference:
    """A repository and what of it is wanted."""

    remote: str
    """What git is given; credentials are still in it."""
    reference: str = ""
    """Branch, tag, full reference or commit; empty for the default branch."""
    subdirectory: str = ""
    """Relative, without `..`; empty for the whole."""
    checksum: str = ""
    """A commit, or how it begins; lower case."""
    keep_git_directory: bool | None = None
    """None where nothing is said."""
    submodules: bool | None = None
    """None where nothing is said: they are fetched then."""
    mtime: Literal["", "checkout", "commit"] = ""
    fetch_by_commit: bool = False
    """The checksum is the commit to fetch; the reference only names it."""
    looks_local: bool = False
    """`github.com/user/repository`, which may as well be a path: only a context is read so."""

    @property
    def is_ssh(self) -> bool:
        """Whether it is reached over ssh."""
        return self.remote.lower().startswith("ssh://") or "://" not in self.remote


def is_commit(text: str) -> bool:
    """Whether the text is a whole commit ID (SHA-1 or SHA-256)."""
    return _COMMIT.fullmatch(text) is not None


def parse_git_reference(text: str) -> GitReference | None:
    """What the text says of a git repository; None if it names none.

    Raises:
        UsageError: it names one, but asks for something that does not exist or contradicts itself.
    """
    found = _remote(text)
    if found is None:
        return None
    reference, query = found
    reference = _with_query(reference, query)
    if reference.reference.startswith("-"):
        raise UsageError(f'invalid git ref "{reference.reference}"')
    if reference.checksum and not _HEX.fullmatch(reference.checksum):
        raise UsageError(
            f"invalid checksum {reference.checksum} for Git URL, expected hex commit hash",
            hint="give the commit, or its first digits",
        )
    subdirectory = posixpath.normpath("/" + reference.subdirectory).lstrip("/")
    return replace(reference, subdirectory=subdirectory, checksum=reference.checksum.lower())


def _remote(text: str) -> tuple[GitReference, Query] | None:
    """The remote with what the fragment says, and the query."""
    if text.startswith(("./", "../")):
        return None
    looks_local = text.startswith("github.com/")
    if looks_local or _TRANSPORT.match(text):
        try:
            url = parse_url(f"https://{text}" if looks_local else text)
        except ValueError:
            return None
        if url.scheme not in _TRANSPORTS:
            return None
        if not looks_local and url.scheme in ("http", "https") and not url.path.endswith(".git"):
            return None
        head, _, tail = url.without_credentials.partition("?")[0].partition("://")
        userinfo = "" if looks_local else _userinfo(text)
        remote = GitReference(f"{head}://{userinfo}{tail}", looks_local=looks_local)
        return _with_fragment(remote, url.fragment), parse_query(url.query)
    match = _SCP.fullmatch(text)
    if match is None:
        return None
    try:
        query = parse_query(match[4] or "", strict=True)
    except ValueError:
        return None
    return _with_fragment(GitReference(f"{match[1]}@{match[2]}:{match[3]}"), match[5] or ""), query


def _userinfo(text: str) -> str:
    authority = text.partition("#")[0].partition("?")[0].partition("://")[2].partition("/")[0]
    user, at, _ = authority.rpartition("@")
    return user + at


def _with_fragment(reference: GitReference, fragment: str) -> GitReference:
    name, _, subdirectory = fragment.partition(":")
    return replace(reference, reference=name, subdirectory=posixpath.normpath("/" + subdirectory).lstrip("/"))


def _with_query(reference: GitReference, query: Query) -> GitReference:
    tag = branch = ""
    for key, values in query.items():
        value = _single(key, values)
        match key:
            case "ref":
                reference = _named(reference, value)
            case "tag":
                tag = value
            case "branch":
                branch = value
            case "subdir":
                if reference.subdirectory and reference.subdirectory != value:
                    raise UsageError(f'subdir conflicts: "{reference.subdirectory}" vs "{value}"')
                reference = replace(reference, subdirectory=value)
            case "checksum" | "commit":
                reference = replace(reference, checksum=value)
            case "keep-git-dir":
                reference = replace(reference, keep_git_directory=_flag(key, value))
            case "submodules":
                reference = replace(reference, submodules=_flag(key, value))
            case "fetch-by-commit":
                reference = replace(reference, fetch_by_commit=_flag(key, value))
            case "mtime":
                reference = replace(reference, mtime=_mtime(value))
            case _:
                raise UsageError(f'unexpected query "{key}"', hint=f"a git URL takes {_KEYS}")
    if tag and branch:
        raise UsageError("branch conflicts with tag", hint="name one of them")
    if tag:
        reference = _named(reference, tag if tag.startswith("refs/tags/") else f"refs/tags/{tag}")
    if branch:
        reference = _named(reference, branch if branch.startswith("refs/heads/") else f"refs/heads/{branch}")
    return reference


def _single(key: str, values: list[str]) -> str:
    if len(values) > 1:
        raise UsageError(f'query "{key}" has multiple values')
    if not values[0] and key not in ("submodules", "keep-git-dir", "fetch-by-commit"):
        raise UsageError(f'query "{key}" has no value')
    return values[0]


def _named(reference: GitReference, name: str) -> GitReference:
    if reference.reference and reference.reference != name:
        raise UsageError(f'ref conflicts: "{reference.reference}" vs "{name}"')
    return replace(reference, reference=name)


def _mtime(value: str) -> Literal["checkout", "commit"]:
    policy = _MTIMES.get(value)
    if policy is None:
        raise UsageError(f'invalid mtime value: "{value}" (must be "checkout" or "commit")')
    return policy


def _flag(key: str, value: str) -> bool:
    if value and value not in _TRUE and value not in _FALSE:
        raise UsageError(f'invalid {key} value: "{value}"', hint="write true or false")
    return not value or value in _TRUE
