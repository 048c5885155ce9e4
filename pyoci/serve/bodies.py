"""Bodies of requests, streamed: what arrives goes on in large pieces, in a thread, before more is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from pyoci.serve.refusals import Refused

__all__ = ["receive", "receive_small"]

_PIECE = 1 << 20


async def receive(request: Request, sink: Callable[[bytes], None], *, stall_seconds: float) -> None:
    """Gives the body to `sink`, piece by piece. What arrived before the body broke off is given to it as well.

    Raises:
        ClientDisconnect: the client hung up.
        Refused: nothing arrived for `stall_seconds`. Whatever `sink` raises.
    """
    waiting = bytearray()
    broken: Exception | None = None
    stream = request.stream()
    try:
        while True:
            try:
                async with asyncio.timeout(stall_seconds):
                    part = await anext(stream, None)
            except TimeoutError:
                broken = Refused(408, "BLOB_UPLOAD_INVALID", f"nothing arrived for {stall_seconds:g} seconds")
                break
            except ClientDisconnect as error:
                broken = error
                break
            if part is None:
                break
            waiting += part
            if len(waiting) >= _PIECE:
                await run_in_threadpool(sink, bytes(waiting))
                waiting.clear()
    finally:
        await stream.aclose()
    if waiting:
        await run_in_threadpool(sink, bytes(waiting))
    if broken is not None:
        raise broken


async def receive_small(request: Request, limit: int, *, stall_seconds: float) -> bytes:
    """A body of at most `limit` bytes.

    Raises:
        Refused: it is larger, or nothing arrived for `stall_seconds`.
        ClientDisconnect: the client hung up.
    """
    too_large = Refused(413, "SIZE_INVALID", f"a manifest may have {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    body = bytearray()

    def take(part: bytes) -> None:
        if len(body) + len(part) > limit:
            raise too_large
        body.extend(part)

    await receive(request, take, stall_seconds=stall_seconds)
    return bytes(body)
