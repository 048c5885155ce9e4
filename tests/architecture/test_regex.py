"""Regular expressions of the package are compiled late: that each of them can be is told here, and not by its user."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pyoci
from pyoci.regex import regex
from tests.architecture.source import modules


def test_every_expression_can_be_compiled() -> None:
    found = 0
    for module in pkgutil.walk_packages(pyoci.__path__, "pyoci."):
        if module.name == "pyoci.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if type(value).__name__ == "_Lazy":
                assert isinstance(value.pattern, str | bytes), f"{module.name}.{name}"
                found += 1
    assert found > 100


def test_no_module_compiles_one_when_it_is_imported() -> None:
    compiled = re.compile(r"^(    )?[A-Z_]+(: [^=\n]+)? = re\.compile\(", re.MULTILINE)
    assert [module.name for module in modules() if compiled.search(module.text)] == []


def test_it_is_what_re_compile_returns() -> None:
    late, early = regex(r"(?P<word>\w+)-\d", re.ASCII), re.compile(r"(?P<word>\w+)-\d", re.ASCII)
    for text in ("a-1", "ä-1", "", "x a-1 b-2"):
        assert bool(late.fullmatch(text)) == bool(early.fullmatch(text))
        assert late.findall(text) == early.findall(text)
        assert late.sub("!", text) == early.sub("!", text)
    assert (late.pattern, late.flags, late.groupindex) == (early.pattern, early.flags, early.groupindex)
    assert regex(b"[^a]+").findall(b"bcad") == [b"bc", b"d"]
