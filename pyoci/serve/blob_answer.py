"""The answer that streams a file, or a part of it, as fast as the client takes it and no faster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pyoci.serve.ranges import Span

__all__ = ["BlobAnswer"]

_PIECE = 1 << 20


class BlobAnswer(Response):
    """Bytes of a stream that is opened when the first of them is due, and closed whatever happens."""

    def __init__(
        self,
        open_stream: Callable[[], BinaryIO],
        span: Span,
        *,
        status: int,
        headers: dict[str, str],
        stall_seconds: float,
    ) -> None:
        super().__init__(status_code=status, headers={**headers, "Content-Length": str(span.size)})
        self._open = open_stream
        self._span = span
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return
        stream = await run_in_threadpool(self._positioned)
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            await send(start)
            left = self._span.size
            while left and not gone.done():
                data = await run_in_threadpool(stream.read, min(_PIECE, left))
                if not data:
                    break  # a file that shrank: the server ends the connection, as fewer bytes came than promised
                left -= len(data)
                async with asyncio.timeout(self._stall_seconds):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body"})
        finally:
            gone.cancel()
            stream.close()

    def _positioned(self) -> BinaryIO:
        stream = self._open()
        try:
            stream.seek(self._span.start)
        except BaseException:
            stream.close()
            raise
        return stream


async def _hung_up(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
