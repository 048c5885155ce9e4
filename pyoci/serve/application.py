"""The registry as an ASGI application: routes, who may come in, and errors in the form that clients read.

Routes are tried in order; a repository's name may hold slashes, and whatever it holds is checked by `names`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyoci.errors import Cancelled, ContentNotFound, PyociError, RegistryError
from pyoci.progress import Reporter
from pyoci.serve.access import Users
from pyoci.serve.endpoints import PullEndpoints, PushEndpoints
from pyoci.serve.refusals import Code, Refused, error_body

__all__ = ["application"]

_Endpoint: TypeAlias = "Callable[[Request], Response | Awaitable[Response]]"

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")


def application(
    pull: PullEndpoints,
    push: PushEndpoints | None,
    *,
    delete: bool,
    users: Users | None,
    reporter: Reporter,
) -> ASGIApp:
    """The whole registry; without `push` it is read-only."""
    read_only = _refusing(403, "DENIED", "this registry is read-only (pyoci serve --write takes pushes)")
    no_deletion = _refusing(405, "UNSUPPORTED", "this registry deletes nothing (pyoci serve --write --delete does)")
    changes: dict[str, _Endpoint] = {}
    if push is not None:
        changes = {
            "begin": push.begin,
            "status": push.status,
            "chunk": push.chunk,
            "complete": push.complete,
            "cancel": push.cancel,
            "put": push.put_manifest,
        }
    if push is not None and delete:
        changes |= {"delete manifest": push.delete_manifest, "delete blob": push.delete_blob}

    def change(what: str) -> _Endpoint:
        missing = no_deletion if push is not None and what.startswith("delete ") else read_only
        return changes.get(what, missing)

    upload = {verb: change(what) for verb, what in _UPLOAD_VERBS.items()}
    manifest = {"GET": pull.manifest, "PUT": change("put"), "DELETE": change("delete manifest")}
    blob = {"GET": pull.blob, "DELETE": change("delete blob")}
    routes = [
        _route("/v2", {"GET": pull.version}),
        _route("/v2/", {"GET": pull.version}),
        _route("/v2/_catalog", {"GET": pull.catalog}),
        _route("/v2/{name:path}/blobs/uploads", {"POST": change("begin")}),
        _route("/v2/{name:path}/blobs/uploads/", {"POST": change("begin")}),
        _route("/v2/{name:path}/blobs/uploads/{upload}", upload),
        _route("/v2/{name:path}/blobs/{digest}", blob),
        _route("/v2/{name:path}/manifests/{reference}", manifest),
        _route("/v2/{name:path}/tags/list", {"GET": pull.tags}),
        _route("/v2/{name:path}/referrers/{digest}", {"GET": pull.referrers}),
    ]
    return _Door(Router(routes, redirect_slashes=False, default=_nothing_here), users, reporter)


_UPLOAD_VERBS = {"GET": "status", "PATCH": "chunk", "PUT": "complete", "DELETE": "cancel"}


def _refusing(status: int, code: Code, message: str) -> _Endpoint:
    def refuse(request: Request) -> Response:
        raise Refused(status, code, message)

    return refuse


def _route(path: str, endpoints: Mapping[str, _Endpoint]) -> Route:
    return Route(path, _Methods(endpoints))


class _Methods:
    """What answers each method at one path; HEAD is GET without the body."""

    def __init__(self, endpoints: Mapping[str, _Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = ", ".join(self._endpoints)
            raise Refused(405, "UNSUPPORTED", f"{method[:20]} means nothing here", headers={"Allow": allowed})
        request = Request(scope, receive, send)
        if inspect.iscoroutinefunction(endpoint):
            answer = await endpoint(request)
        else:
            answer = await run_in_threadpool(endpoint, request)
        assert isinstance(answer, Response)
        await answer(scope, receive, send)


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refused(404, "UNSUPPORTED", f"there is nothing at {scope['path'][:200]}")


class _Door:
    """Lets in who may, and turns everything that goes wrong behind it into an answer."""

    def __init__(self, inside: ASGIApp, users: Users | None, reporter: Reporter) -> None:
        self._inside = inside
        self._users = users
        self._reporter = reporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).append("Docker-Distribution-Api-Version", "registry/2.0")
            await send(message)

        try:
            await self._admit(scope)
            await self._inside(scope, receive, send_on)
        except ClientDisconnect:
            return
        except Exception as error:  # the top of a request: whatever it is, the client is told and the server goes on
            answer = self._answer(error)
            if started:
                raise
            await answer(scope, receive, send_on)

    async def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._users is not None and not await run_in_threadpool(
            self._users.allows, headers.get("authorization", "")
        ):
            challenge = {"WWW-Authenticate": 'Basic realm="pyoci", charset="UTF-8"'}
            raise Refused(401, "UNAUTHORIZED", "a user name and a password are wanted", headers=challenge)
        if scope["method"] in _CHANGES and "origin" in headers:
            raise Refused(403, "DENIED", "web pages may not change this registry")

    def _answer(self, error: Exception) -> Response:
        refused = self._refused(error)
        headers = {"Content-Type": "application/json", **refused.headers}
        return Response(error_body(refused.faults), refused.status, headers)

    def _refused(self, error: Exception) -> Refused:
        match error:
            case Refused():
                return error
            case Cancelled():
                return Refused(503, "UNKNOWN", "the server is ending")
            case ContentNotFound():
                return Refused(404, "BLOB_UNKNOWN", error.message)
            case RegistryError():
                self._reporter.warning(error.message)
                return Refused(502, "UNKNOWN", "what is asked for is in another registry, which does not give it now")
            case PyociError():
                self._reporter.warning(error.message)
                return Refused(500, "UNKNOWN", "the server could not do this; what it printed says why")
            case _:
                self._reporter.warning(f"internal error: {type(error).__name__}: {error}")
                return Refused(500, "UNKNOWN", "internal error of the server")
