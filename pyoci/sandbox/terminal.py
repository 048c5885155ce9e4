"""Joins a terminal in a sandbox to the one that the user sits at. Runs in the builder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import tty

from pyoci.sandbox.protocols import Terminal

__all__ = ["Relay", "window_of"]

_CHUNK = 1 << 16
_DEFAULT_WINDOW = (24, 80)


def window_of(descriptor: int) -> tuple[int, int]:
    """Rows and columns of a terminal; 24 and 80 of what is none or does not know."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return _DEFAULT_WINDOW
    return (rows, columns) if rows and columns else _DEFAULT_WINDOW


class Relay:
    """Carries bytes both ways while the process runs. The user's terminal is raw meanwhile, and follows its size."""

    def __init__(self, user: Terminal, master: int, poll: select.poll) -> None:
        """Takes over `master`, and registers what `carry` wants to know in `poll`."""
        self._user = user
        self._master = master
        self._poll = poll
        self._window = window_of(user.stdout)
        self._saved = None
        self._waiting = b""
        """Typed, and not yet taken by the terminal in the sandbox."""
        if os.isatty(user.stdin):
            self._saved = termios.tcgetattr(user.stdin)
            tty.setraw(user.stdin)
        os.set_blocking(master, False)
        poll.register(master, select.POLLIN)
        self._listening = True
        poll.register(user.stdin, select.POLLIN)

    def carry(self, ready: set[int]) -> None:
        """Moves what there is; `ready` are the descriptors that the poll named."""
        self._follow_window()
        if self._master in ready:
            self._show()
        if self._user.stdin in ready and self._listening and not self._waiting:
            self._waiting = os.read(self._user.stdin, _CHUNK)
            if not self._waiting:
                # The end of what the user's side has to say: what Ctrl-D says to a program that reads a terminal.
                self._waiting = b"\x04"
                self._ignore_user()
        if self._waiting:
            with contextlib.suppress(BlockingIOError):
                self._waiting = self._waiting[os.write(self._master, self._waiting) :]

    def drain(self) -> None:
        """Shows what the process wrote last."""
        while self._show():
            continue

    def close(self) -> None:
        """Gives the user the terminal back as it was."""
        if self._saved is not None:
            termios.tcsetattr(self._user.stdin, termios.TCSADRAIN, self._saved)
        self._ignore_user()
        with contextlib.suppress(KeyError):
            self._poll.unregister(self._master)
        os.close(self._master)

    def _show(self) -> bool:
        try:
            data = memoryview(os.read(self._master, _CHUNK))
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the other end any more
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._master)
            return False
        while data:
            data = data[os.write(self._user.stdout, data) :]
        return True

    def _ignore_user(self) -> None:
        if self._listening:
            self._listening = False
            self._poll.unregister(self._user.stdin)

    def _follow_window(self) -> None:
        window = window_of(self._user.stdout)
        if window != self._window:
            self._window = window
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", *window, 0, 0))
