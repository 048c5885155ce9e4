"""The rules by which IDs change, beside the kernel's: the same calls, by processes of this machine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest

from pyoci.sandbox.identity import ROOT, UNCHANGED, changed
from pyoci.sandbox.syscall_numbers import ARCHITECTURES, RECORDED

pytestmark = [pytest.mark.needs_root]

ARGUMENTS = {"setuid": 1, "setgid": 1, "setreuid": 2, "setregid": 2, "setresuid": 3, "setresgid": 3}
VALUES = (0, 1000, 1001, UNCHANGED)
Call = tuple[str, tuple[int, ...]]
State = list[int]

BY_THE_KERNEL = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for calls in json.load(sys.stdin):
    if os.fork() == 0:
        said = []
        for number, arguments in calls:
            result = libc.syscall(ctypes.c_long(number), *(ctypes.c_uint32(value) for value in arguments))
            said.append((ctypes.get_errno() if result else 0, *os.getresuid(), *os.getresgid()))
        os.write(1, json.dumps(said).encode() + b"\\n")
        os._exit(0)
    os.wait()
"""


def by_the_kernel(sequences: Sequence[Sequence[Call]]) -> list[list[State]]:
    """After each call of each sequence: its error, or 0, and the IDs."""
    native = RECORDED[ARCHITECTURES[os.uname().machine][0]]
    numbers = {name: number for number, name in native.items()}
    asked = [[(numbers[name], arguments) for name, arguments in calls] for calls in sequences]
    done = subprocess.run(
        [sys.executable, "-c", BY_THE_KERNEL],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_the_rules(calls: Sequence[Call]) -> list[State]:
    identity = ROOT
    said: list[State] = []
    for name, arguments in calls:
        code = 0
        try:
            identity = changed(name, identity, arguments)
        except OSError as error:
            code = error.errno or 0
        said.append([code, *identity.uids, *identity.gids])
    return said


def test_any_calls_in_any_order() -> None:
    chance = random.Random(1)
    sequences: list[list[Call]] = []
    for _ in range(200):
        names = [chance.choice(list(ARGUMENTS)) for _ in range(8)]
        sequences.append([(name, tuple(chance.choice(VALUES) for _ in range(ARGUMENTS[name]))) for name in names])
    for calls, said in zip(sequences, by_the_kernel(sequences), strict=True):
        assert by_the_rules(calls) == said, calls
