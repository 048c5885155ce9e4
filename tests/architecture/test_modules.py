"""Rules of the house that no linter knows: sizes, names, exports, docstrings, and who looks at the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import Module, definitions, exported, functions, imported, modules

MODULE_LINES = 400
FUNCTION_LINES = 60
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}

PROCESS_ATTRIBUTES = {
    "os": {
        *("environ", "environb", "getenv", "getenvb"),
        *("getuid", "geteuid", "getgid", "getegid", "getgroups", "getlogin", "getresuid", "getresgid"),
        *("getcwd", "getcwdb"),
    },
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "Path": {"cwd", "home"},
    "path": {"expanduser", "expandvars"},
}
"""What only pyoci/environment.py and the command line may ask the process, by the name before the dot."""

OWN_PROCESS: dict[str, str] = {}
"""Modules that run in a process of their own, whose user and directory they set themselves; each with the reason."""


def below_cli() -> Iterator[Module]:
    for module in modules():
        if not module.name.startswith("pyoci/cli/") and module.name != "pyoci/__main__.py":
            yield module


def process_reads(module: Module) -> Iterator[str]:
    """Places where a module asks the process for environment, clock, user or working directory."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attribute):
                if attribute in PROCESS_ATTRIBUTES.get(owner, ()):
                    yield f"{module}:{node.lineno} {owner}.{attribute}"
            case ast.Attribute(attr="expanduser"):
                yield f"{module}:{node.lineno} expanduser"
            case ast.ImportFrom(module=("os" | "time") as owner, names=names):
                for alias in names:
                    if alias.name in PROCESS_ATTRIBUTES[owner]:
                        yield f"{module}:{node.lineno} {owner}.{alias.name}"
            case _:
                pass


def lazily_imported(tree: ast.Module) -> set[str]:
    """What a package's `__getattr__` imports when it is asked, by what is imported for type checkers alone."""
    return {
        alias.asname or alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def assert_none(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def test_a_module_can_be_read_in_one_sitting() -> None:
    lines = {module.name: module.text.count("\n") for module in modules()}
    assert_none([f"{name}: {count} lines" for name, count in lines.items() if count > MODULE_LINES])


def test_a_function_fits_on_a_screen() -> None:
    lines = {
        f"{module}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for module in modules()
        for function in functions(module.tree)
    }
    assert_none([f"{place}: {count} lines" for place, count in lines.items() if count > FUNCTION_LINES])


def test_a_name_says_what_is_inside() -> None:
    assert_none([module.name for module in modules() if NAMELESS & set(module.name.removesuffix(".py").split("/"))])


def test_all_lists_what_is_public() -> None:
    faults = []
    for module in modules():
        listed = exported(module.tree)
        defined = {name for name, _ in definitions(module.tree)}
        public = {name for name in defined if not name.startswith("_")}
        if listed is None:
            faults += [f"{module} defines {name} and has no __all__" for name in sorted(public)]
            continue
        unbound = set(listed) - defined - set(imported(module.tree))
        if "__getattr__" in defined:
            unbound -= lazily_imported(module.tree)
        faults += [f"{module} lists {name} but does not have it" for name in sorted(unbound)]
        twice = {name for name in listed if listed.count(name) > 1}
        faults += [f"{module} lists {name} twice" for name in sorted(twice)]
        faults += [f"{module} does not list {name}" for name in sorted(public - set(listed))]
    assert_none(faults)


def test_a_module_says_what_it_is_for() -> None:
    silent = [module.name for module in modules() if not ast.get_docstring(module.tree)]
    assert_none(silent)


def test_what_is_public_is_explained() -> None:
    unexplained = [
        f"{module}:{statement.lineno} {name}"
        for module in modules()
        for name, statement in definitions(module.tree)
        if name in (exported(module.tree) or ())
        and isinstance(statement, ast.ClassDef | ast.FunctionDef)
        and not ast.get_docstring(statement)
    ]
    assert_none(unexplained)


def test_only_the_command_line_prints() -> None:
    prints = [
        f"{module}:{node.lineno}"
        for module in below_cli()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert_none(prints)


def test_only_the_environment_module_looks_at_the_process() -> None:
    reads = [
        place
        for module in below_cli()
        if module.name != "pyoci/environment.py" and module.name not in OWN_PROCESS
        for place in process_reads(module)
    ]
    assert_none(reads)


def test_no_exception_outlives_its_reason() -> None:
    assert OWN_PROCESS.keys() <= {module.name for module in modules() if list(process_reads(module))}
