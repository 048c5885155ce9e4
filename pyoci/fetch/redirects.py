"""Following redirects: credentials stay with the origin that they were given for, and TLS is never left."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from pyoci.errors import BuildError
from pyoci.fetch.protocols import Answer, Get
from pyoci.fetch.url import Url, parse_url, public

__all__ = ["follow"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LIMIT = 10


def follow(get: Get, url: Url, headers: Mapping[str, str], authorization: str) -> tuple[Answer, Url, str]:
    """The answer at the end of all redirects, where it came from, and the authorization that may be sent there.

    Raises:
        BuildError: a redirect leaves TLS, leads to what is no HTTP URL, or there are too many.
        ExchangeFailed: there was no answer.
    """
    here = url
    for _ in range(_LIMIT + 1):
        if (here.scheme, here.host) != (url.scheme, url.host):
            authorization = ""  # for good: the way back would be led by a stranger
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        answer = get(here.without_credentials, sent)
        location = answer.header("Location")
        if answer.status not in _REDIRECTS or not location:
            return answer, here, authorization
        answer.finish()
        here = _target(url, here, location)
    raise BuildError(f"cannot fetch {public(url.without_credentials)}: more than {_LIMIT} redirects")


def _target(first: Url, here: Url, location: str) -> Url:
    problem = ""
    try:
        target = parse_url(urljoin(here.without_credentials, location))
    except ValueError:
        target, problem = here, "to what is not a URL"
    if not problem and (target.scheme not in ("http", "https") or not target.host or target.user is not None):
        problem = f"to {public(target.without_credentials)}, which is not an address to ask"
    if not problem and here.scheme == "https" and target.scheme == "http":
        problem = f"to {public(target.without_credentials)}, which would leave TLS"
    if problem:
        raise BuildError(f"cannot fetch {public(first.without_credentials)}: {here.host} redirects {problem}")
    return target
