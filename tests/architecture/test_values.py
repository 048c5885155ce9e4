"""Every dataclass of the package is what the standard library would make of it: described in two processes, one of
which makes the classes with `dataclasses.dataclass`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.architecture.source import modules

DESCRIBE = """
import dataclasses, importlib, inspect, json, pkgutil, sys
import pyoci, pyoci.values

if sys.argv[1] == "standard":
    for name in pyoci.values.__all__:
        setattr(pyoci.values, name, getattr(dataclasses, name))

def parameters(cls):
    given = inspect.signature(cls).parameters.values()
    return [(one.name, str(one.kind), one.default is not one.empty) for one in given]

def described(cls):
    members = [
        (one.name, one.type, one.init, one.repr, one.compare, one.compare if one.hash is None else one.hash,
         one.kw_only, one.default is not dataclasses.MISSING, one.default_factory is not dataclasses.MISSING)
        for one in dataclasses.fields(cls)
    ]
    own = [name for name in ("__eq__", "__repr__", "__setattr__", "__getstate__", "__init__") if name in cls.__dict__]
    hashed = "none" if cls.__hash__ is None else "identity" if cls.__hash__ is object.__hash__ else "fields"
    return {
        "parameters": parameters(cls), "fields": members, "slots": cls.__slots__, "match": cls.__match_args__,
        "bases": [base.__name__ for base in cls.__mro__], "own": own, "hash": hashed,
        "doc": None if (cls.__doc__ or "").startswith(cls.__name__ + "(") else cls.__doc__,
        "dict": hasattr(cls, "__dict__") and "__dict__" in dir(cls), "name": cls.__qualname__,
    }

found = {}
for module in pkgutil.walk_packages(pyoci.__path__, "pyoci."):
    if module.name != "pyoci.__main__":
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, type) and value.__module__ == module.name and dataclasses.is_dataclass(value):
                found[f"{module.name}.{name}"] = described(value)
print(json.dumps(found))
"""


def _described(by: str) -> dict[str, dict[str, Any]]:
    run = subprocess.run([sys.executable, "-c", DESCRIBE, by], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, Any]] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def ours() -> dict[str, dict[str, Any]]:
    return _described("pyoci")


def test_every_class_is_what_the_standard_library_makes_of_it(ours: dict[str, dict[str, Any]]) -> None:
    standard = _described("standard")
    assert ours.keys() == standard.keys()
    differ = {name: [ours[name], standard[name]] for name in ours if ours[name] != standard[name]}
    assert differ == {}


def test_all_were_looked_at(ours: dict[str, dict[str, Any]]) -> None:
    assert len(ours) > 300
    assert {"pyoci.image.descriptor.Descriptor", "pyoci.dockerfile.instructions.Run"} <= ours.keys()


def test_nobody_makes_them_with_the_standard_library() -> None:
    imports = re.compile(r"^(from dataclasses import|import dataclasses)", re.MULTILINE)
    assert [module for module in modules() if imports.search(module.text)] == []
