"""The package's own source, as text and as syntax trees, for the rules in this directory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pyoci"


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Relative to the checkout, as an editor takes it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def __str__(self) -> str:
        return self.name


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, sorted by path."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(path, text, ast.parse(text, filename=str(path))))
    return tuple(found)


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Names that a module defines at its top level, with what defines them; neither imports nor type variables."""
    for statement in tree.body:
        match statement:
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
                pass
            case ast.Assign(targets=[ast.Name(id="TYPE_CHECKING")]):
                pass  # says to type checkers what importing typing would say, without its cost
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, statement
            case ast.Assign(targets=targets):
                for target in targets:
                    for node in ast.walk(target):
                        if isinstance(node, ast.Name):
                            yield node.id, statement
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, statement
            case _:
                pass


def imported(tree: ast.Module) -> Iterator[str]:
    """Names that a module imports at its top level, or for type checkers where it defines them itself otherwise."""
    for statement in tree.body:
        if isinstance(statement, ast.If) and statement.orelse:
            otherwise = {name for name, _ in definitions(ast.Module(statement.orelse, []))}
            yield from otherwise.intersection(imported(ast.Module(statement.body, [])))
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0]


def exported(tree: ast.Module) -> list[str] | None:
    """What `__all__` lists; None when there is none."""
    for name, statement in definitions(tree):
        if name == "__all__" and isinstance(statement, ast.Assign):
            value = ast.literal_eval(statement.value)
            return [str(item) for item in value]
    return None


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
