"""The standard library of bake files: what its functions are called and how many arguments they take.

Spec: docker/buildx docs/bake-stdlib.md; the functions are those of go-cty and of HCL's extensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyoci.bake.functions_of_addresses import ADDRESSES
from pyoci.bake.functions_of_collections import COLLECTIONS
from pyoci.bake.functions_of_numbers import NUMBERS
from pyoci.bake.functions_of_text import TEXT
from pyoci.bake.functions_of_time import time_functions
from pyoci.bake.functions_of_versions import VERSIONS
from pyoci.bake.values import Value, ValueProblem
from pyoci.values import dataclass

__all__ = ["ELSEWHERE", "Function", "standard_functions"]

ELSEWHERE = {
    "bcrypt": "compute the value outside and pass it as a variable",
    "rsadecrypt": "decrypt the value outside and pass it as a secret",
    "byteslen": "it takes bytes, which no expression gives; use strlen",
    "bytesslice": "it takes bytes, which no expression gives; use substr",
}
"""Functions that docker has and pyoci has not, with what to do instead."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function and how many arguments it takes."""

    call: Callable[..., Value]
    fewest: int
    most: int | None

    def __call__(self, arguments: Sequence[Value]) -> Value:
        count = len(arguments)
        if count < self.fewest or (self.most is not None and count > self.most):
            wanted = str(self.fewest) if self.most == self.fewest else f"at least {self.fewest}"
            if self.most is not None and self.most != self.fewest:
                wanted = f"{self.fewest} to {self.most}"
            raise ValueProblem(f"{wanted} argument{'s' if wanted != '1' else ''} wanted, {count} given")
        return self.call(*arguments)


def standard_functions(*, now: int, home: str) -> Mapping[str, Function]:
    """Every function by its name; `now` in seconds since 1970."""
    tables = (TEXT, NUMBERS, COLLECTIONS, ADDRESSES, VERSIONS, time_functions(now))
    found = {name: Function(*entry) for table in tables for name, entry in table.items()}
    found["homedir"] = Function(lambda: home, 0, 0)
    return found
