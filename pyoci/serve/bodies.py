"""Bodies of requests, streamed: what arrives goes on in large pieces, in a thread, while the next piece arrives."""

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

    While one piece is dealt with the next one arrives; there are never more than two.

    Raises:
        ClientDisconnect: the client hung up.
        Refused: nothing arrived for `stall_seconds`. Whatever `sink` raises.
    """
    pieces = _Pieces(sink)
    waiting = bytearray()
    stream = request.stream()
    try:
        while True:
            async with asyncio.timeout(stall_seconds):
                part = await anext(stream, None)
            if part is None:
                break
            waiting += part
            if len(waiting) >= _PIECE:
                await pieces.give(bytes(waiting))
                waiting.clear()
    except TimeoutError:
        await pieces.end(bytes(waiting))
        raise Refused(408, "BLOB_UPLOAD_INVALID", f"nothing arrived for {stall_seconds:g} seconds") from None
    except ClientDisconnect:
        await pieces.end(bytes(waiting))
        raise
    else:
        await pieces.end(bytes(waiting))
    finally:
        await pieces.settle()
        await stream.aclose()


class _Pieces:
    """Hands pieces to a function in a thread, one after the other."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._busy: asyncio.Task[None] | None = None

    async def give(self, piece: bytes) -> None:
        """Returns when the piece before this one is done with."""
        if self._busy is not None:
            await self._busy
        self._busy = asyncio.create_task(run_in_threadpool(self._sink, piece))

    async def end(self, rest: bytes) -> None:
        """Returns when everything is done with."""
        if rest:
            await self.give(rest)
        if self._busy is not None:
            await self._busy

    async def settle(self) -> None:
        """Returns when no thread is at work any more, whatever came of it."""
        if self._busy is not None:
            await asyncio.wait([self._busy])
            if not self._busy.cancelled():
                self._busy.exception()


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
