"""Looks for a bake file that its reader cannot bear; the same for the same seed.

    .venv/bin/python script/fuzz/fuzz_bake.py --runs 200000 --seed 1

Changes the definitions of `fixtures/bake` (HCL, JSON and Compose) and reads, evaluates and resolves what comes of it.
That gives targets, or an error of pyoci that points into the text; nothing may take long. Exits 1 at the first text
that breaks this, which is printed. Needs nothing to be installed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pyoci.bake.read import Surroundings, read_definitions  # noqa: E402 -- the checkout comes first
from pyoci.bake.resolve import resolve  # noqa: E402
from pyoci.dockerfile.parser import decode_source  # noqa: E402
from pyoci.errors import PyociError  # noqa: E402
from tests.conformance.bake_cases import read_bake_cases  # noqa: E402

SLOWEST_SECONDS = 2.0
"""Of the processor."""
WITHOUT_PLACE = ("there is no target", "nested too deeply", "has a number that is too long")
"""Errors about more than one place."""
TOKENS = [
    token.encode("utf-8", "surrogateescape")
    for token in (
        *('"', "${", "%{", "}", "~", "<<E\n", "<<-E\n", "\nE\n", "(", ")", "[", "]", "{", "\\", "\n", "\r", "\x00"),
        *("\udcff", "if ", "for x in ", "else", "endif", "endfor", "#", "//", "/*", "*/", "$$", "%%", ",", "=", ":"),
        *(
            "?",
            "...",
            "1e999",
            "-",
            "!",
            "null",
            "target.default.args",
            "convert(",
            "list(string)",
            "!reset ",
            "<<: *a",
        ),
    )
]


def changed(random_: random.Random, text: bytes, others: list[tuple[str, bytes]]) -> bytes:
    """A text with one to three changes."""
    found = bytearray(text)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        place = random_.randint(0, len(found))
        match random_.randint(0, 4):
            case 0:
                found[place:place] = random_.choice(TOKENS)
            case 1:
                del found[place : place + random_.randint(1, 8)]
            case 2:
                found[place : place + 1] = bytes([random_.randint(0, 255)])
            case 3:
                start = random_.randint(0, len(found))
                found[place:place] = found[start : start + random_.randint(1, 30)]
            case _:
                other = random_.choice(others)[1]
                start = random_.randint(0, len(other))
                found[place:place] = other[start : start + random_.randint(1, 40)]
    return bytes(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random_ = random.Random(arguments.seed)
    surroundings = Surroundings({}, {}, "linux/amd64", 0, "/home/me")
    texts = [
        (name, text.encode())
        for case in read_bake_cases()
        for name, text in {**case.files, **case.remote}.items()
        if name.endswith((".hcl", ".json", ".yaml"))
    ]
    outcomes: Counter[str] = Counter()
    for name in ("a.hcl", "a.yaml"):  # what is imported for it is not its own time
        read_definitions(
            [decode_source(name, b"services: {}" if name == "a.yaml" else b"")], surroundings, lambda _: None
        )
    for _ in range(arguments.runs):
        name, text = random_.choice(texts)
        raw = changed(random_, text, texts)
        started = time.process_time()
        try:
            found = read_definitions([decode_source(name, raw)], surroundings, lambda _: None)
            resolve(found.definitions, ["default"])
            outcomes["read"] += 1
        except PyociError as error:
            outcomes["refused"] += 1
            if error.location is None and not any(part in error.message for part in WITHOUT_PLACE):
                print(f"no place: {error.message}\n{name}: {raw!r}")
                return 1
        except Exception as error:
            print(f"{type(error).__name__}: {error}\n{name}: {raw!r}")
            return 1
        if time.process_time() - started > SLOWEST_SECONDS:
            print(f"slow\n{name}: {raw!r}")
            return 1
    print(f"{arguments.runs} texts: {dict(outcomes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
