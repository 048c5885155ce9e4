"""Names of images, as docker spells them: `app`, `app:1.0`, `gcr.io/distroless/static@sha256:…`.

Grammar: distribution's reference package; docker.io is the registry of a name without one, `library/` its first folder.
The only module that knows how docker.io is spelt.
"""

from __future__ import annotations

import re

from pyoci.digest import Digest, parse_digest
from pyoci.errors import ContentError, UsageError
from pyoci.regex import regex
from pyoci.values import dataclass, replace

__all__ = ["DEFAULT_REGISTRY", "Reference", "parse_reference"]

DEFAULT_REGISTRY = "docker.io"
_OLD_NAME = "index.docker.io"

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = regex(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = regex(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = regex(r"[\w][\w.-]{0,127}", re.ASCII)
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A fully qualified name. At least one of `tag` and `digest` is set when it came from `parse_reference`."""

    registry: str
    """Host and optional port: `docker.io`, `localhost:5000`."""
    repository: str
    """Path inside the registry: `library/alpine`."""
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        """The whole name: `docker.io/library/alpine:3.20@sha256:…`."""
        return self.name + self._suffix()

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """`name` as docker prints it: without `docker.io/` and `library/`."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        rest = self.repository.removeprefix("library/")
        return rest if "/" not in rest else self.repository

    @property
    def familiar(self) -> str:
        """The reference as docker prints it: `alpine:3.20`."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_digest(self, digest: Digest) -> Reference:
        """The same name and tag, pinned to `digest`."""
        return replace(self, digest=digest)

    def with_tag(self, tag: str) -> Reference:
        """The same name under another tag, without a digest."""
        return replace(self, tag=tag, digest=None)


def parse_reference(text: str, *, default_tag: str | None = "latest") -> Reference:
    """The reference that `text` names; `default_tag` is used where it has neither tag nor digest.

    Raises:
        UsageError: not a reference. The hint says what is wrong with it.
    """
    rest, at, digest_text = text.partition("@")
    digest: Digest | None = None
    if at:
        try:
            digest = parse_digest(digest_text)
        except ContentError as error:
            raise UsageError(f'invalid reference "{text}": {error.message}', hint=error.hint) from error
    tag: str | None = None
    head, colon, last = rest.rpartition(":")
    if colon and "/" not in last:
        rest, tag = head, last
        if not _TAG.fullmatch(tag):
            raise UsageError(
                f'invalid reference "{text}": "{tag}" is not a tag',
                hint="a tag has letters, digits, _ . and -, at most 128 of them, and does not begin with . or -",
            )
    first, slash, path = rest.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        registry, repository = (DEFAULT_REGISTRY if first == _OLD_NAME else first), path
    else:
        registry, repository = DEFAULT_REGISTRY, rest
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = f"library/{repository}"
    if not _DOMAIN.fullmatch(registry):
        raise UsageError(f'invalid reference "{text}": "{registry}" is not a registry host', hint=_NAME_HINT)
    if not _PATH.fullmatch(repository):
        hint = "repository names are lower case" if repository.lower() != repository else _NAME_HINT
        raise UsageError(f'invalid reference "{text}": "{rest}" is not a repository name', hint=hint)
    if len(repository) > _NAME_LIMIT:
        raise UsageError(f'invalid reference "{text[:80]}…": longer than {_NAME_LIMIT} characters', hint=_NAME_HINT)
    if not at and not _PATH_LIKE_DIGEST.fullmatch(text):
        tag = tag or default_tag
    elif not at:
        raise UsageError(
            f'invalid reference "{text}": 64 hex digits are an ID, not a repository name', hint="name the image instead"
        )
    return Reference(registry, repository, tag, digest)


_PATH_LIKE_DIGEST = regex(r"[a-f0-9]{64}")
_NAME_HINT = "write it as [registry[:port]/]repository[:tag][@sha256:digest], such as localhost:5000/team/app:1.0"
