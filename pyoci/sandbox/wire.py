"""Messages between builder and worker: marshalled values in frames, with file descriptors beside them.

Both ends are processes of one user, started by each other, from one installation; nothing here reads what a RUN step
wrote. Part of the worker: imports nothing but built-in modules.

    frame = length of the body (4 bytes, big endian) | body (marshal version 4)

Descriptors travel with the first byte of a frame (SCM_RIGHTS, at most 253).
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys

__all__ = ["Channel", "Closed", "socketpair"]

_MAXIMUM = 1 << 30
_MAXIMUM_DESCRIPTORS = 253


class Closed(Exception):
    """The other end is gone."""


def socketpair() -> tuple[Channel, Channel]:
    """Two connected channels."""
    one, two = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    return Channel(one), Channel(two)


class Channel:
    """One end of a conversation. Not thread-safe."""

    def __init__(self, endpoint: _socket.socket) -> None:
        self._socket = endpoint

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """Takes over the descriptor of a connected stream socket."""
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ended(self) -> bool:
        """Whether the other end is gone and everything that it sent has been received."""
        try:
            return not self._socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def send(self, value: object, descriptors: tuple[int, ...] | list[int] = ()) -> None:
        """Sends one value. The descriptors stay open here.

        Raises:
            Closed: nobody listens any more.
        """
        body = marshal.dumps(value)  # type: ignore[arg-type]  # what it cannot carry it refuses
        data = memoryview(len(body).to_bytes(4, "big") + body)
        if len(descriptors) > _MAXIMUM_DESCRIPTORS:
            raise ValueError(f"{len(descriptors)} descriptors in one message; at most {_MAXIMUM_DESCRIPTORS}")
        passed = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in descriptors)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)] if passed else []
        try:
            sent = self._socket.sendmsg([data], rights, _socket.MSG_NOSIGNAL)
            while sent < len(data):
                sent += self._socket.send(data[sent:], _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self) -> tuple[object, list[int]]:
        """The next value and its descriptors, which the caller closes.

        Raises:
            Closed: the other end closed before a whole frame came.
        """
        head = b""
        descriptors: list[int] = []
        try:
            while len(head) < 4:
                head += self._receive_with_rights(4 - len(head), descriptors)
            length = int.from_bytes(head, "big")
            if length > _MAXIMUM:
                raise ValueError(f"a message of {length} bytes; at most {_MAXIMUM}")
            body = bytearray(length)
            view = memoryview(body)
            got = 0
            while got < length:
                count = self._socket.recv_into(view[got:])
                if count == 0:
                    raise Closed
                got += count
            return marshal.loads(body), descriptors
        except BaseException as error:
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(error, ConnectionResetError):
                raise Closed from error
            raise

    def _receive_with_rights(self, size: int, descriptors: list[int]) -> bytes:
        data, rights, _, _ = self._socket.recvmsg(
            size, _socket.CMSG_SPACE(4 * _MAXIMUM_DESCRIPTORS), _socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, passed in rights:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                for start in range(0, len(passed) - len(passed) % 4, 4):
                    descriptors.append(int.from_bytes(passed[start : start + 4], sys.byteorder))
        if not data:
            raise Closed
        return data
