"""Frames and descriptors between builder and worker."""

from __future__ import annotations

import os
import threading

import pytest

from pyoci.sandbox.failure import Attempt, Failure, failure_of, reason_of
from pyoci.sandbox.wire import Channel, Closed, socketpair


@pytest.mark.parametrize(
    "value", [None, True, 5, -1, 2.5, "ü\udcff", b"\0\xff", [1, (2, "x")], {"a": {"b": [b"c"]}}, {}]
)
def test_values_arrive(value: object) -> None:
    one, other = socketpair()
    one.send(value)
    assert other.receive() == (value, [])
    one.close()
    other.close()


def test_large_values_arrive() -> None:
    one, other = socketpair()
    value = os.urandom(1 << 20) * 5
    sender = threading.Thread(target=one.send, args=(value,))
    sender.start()
    assert other.receive()[0] == value
    sender.join()
    one.close()
    other.close()


def test_descriptors_arrive_open_and_are_not_inherited() -> None:
    one, other = socketpair()
    reader, writer = os.pipe()
    one.send("x", [writer] * 200)
    value, descriptors = other.receive()
    assert (value, len(descriptors)) == ("x", 200)
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    os.write(descriptors[-1], b"hello")
    assert os.read(reader, 10) == b"hello"
    for descriptor in (*descriptors, reader, writer):
        os.close(descriptor)
    with pytest.raises(ValueError, match="300 descriptors in one message"):
        one.send("x", [0] * 300)
    one.close()
    other.close()


def test_the_other_end_closes() -> None:
    one, other = socketpair()
    one.close()
    with pytest.raises(Closed):
        other.receive()
    with pytest.raises(Closed):
        other.send("x")
    other.close()


def test_whether_the_other_end_is_gone() -> None:
    one, other = socketpair()
    assert not other.ended()
    one.send("last words")
    one.close()
    assert not other.ended()
    assert other.receive()[0] == "last words"
    assert other.ended()
    other.close()


def test_half_a_frame_is_none() -> None:
    one, other = socketpair()
    os.write(one.fileno(), b"\0\0\0\x09abc")
    one.close()
    with pytest.raises(Closed):
        other.receive()
    other.close()


def test_a_frame_beyond_all_bounds_is_refused() -> None:
    one, other = socketpair()
    os.write(one.fileno(), b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="a message of 4294967295 bytes"):
        other.receive()
    one.close()
    other.close()


def test_a_channel_takes_over_a_descriptor() -> None:
    one, other = socketpair()
    taken = Channel.from_descriptor(os.dup(other.fileno()))
    one.send(1)
    assert taken.receive() == (1, [])
    for channel in (one, other, taken):
        channel.close()


def test_reasons() -> None:
    assert reason_of(PermissionError(1, "Operation not permitted")) == "operation not permitted (EPERM)"
    assert reason_of(OSError("odd")) == "odd"
    assert failure_of(FileNotFoundError(2, "No such file or directory", "/x")).message == (
        '"/x": no such file or directory (ENOENT)'
    )
    assert failure_of(KeyError("x")).message == "KeyError: 'x'"
    failure = Failure("words", "hint")
    assert failure_of(failure) is failure


def test_attempts() -> None:
    with pytest.raises(Failure) as raised, Attempt("cannot do it", "do it otherwise"):
        raise OSError(28, "No space left on device")
    assert (raised.value.message, raised.value.hint) == (
        "cannot do it: no space left on device (ENOSPC)",
        "do it otherwise",
    )
    with pytest.raises(ZeroDivisionError), Attempt("cannot do it"):
        raise ZeroDivisionError
