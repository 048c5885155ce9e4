"""The tables of README.md and docs/dockerfile.md, made from the rows of `tests/support.py` and the recorded builds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.conformance.cases import read_cases
from tests.conformance.known_differences import KNOWN
from tests.support import DOCKER_FLAGS, LANGUAGE, OWN_FLAGS, Row, recorded

__all__ = ["BEGIN", "END", "readme_table", "written"]

BEGIN = "<!-- written by script/support-table -->"
END = "<!-- end of what script/support-table writes -->"
_MARKS = {"yes": "✓", "partly": "◐", "no": "✗"}


def written(root: Path) -> dict[Path, str]:
    """What the two files should hold."""
    readme = root / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    assert found, f"README.md lacks {BEGIN} or {END}"
    return {
        readme: f"{before}{BEGIN}\n\n{readme_table()}\n{END}{after}",
        root / "docs/dockerfile.md": "\n".join(_full()) + "\n",
    }


def readme_table() -> str:
    """One line per instruction and per kind of flag."""
    return "\n".join([*_instructions(), "", *_flags()]) + "\n"


def _instructions() -> Iterator[str]:
    yield "| | Dockerfile | its flags | recorded builds |"
    yield "|---|---|---|---:|"
    for row in LANGUAGE:
        if _parent(row):
            continue
        below = [each for each in LANGUAGE if _parent(each) == row.name]
        flags = " ".join(f"`{_short(each)}`\N{NO-BREAK SPACE}{_MARKS[each.level]}" for each in below)
        yield f"| {_MARKS[row.level]} | {_code(row)} | {flags} | {len(recorded(row)) or ''} |"


def _flags() -> Iterator[str]:
    yield "| | `pyoci build` |"
    yield "|---|---|"
    plain = [row for row in DOCKER_FLAGS if row.level == "yes"]
    yield f"| ✓ | {', '.join(_code(row) for row in plain)} |"
    for row in DOCKER_FLAGS:
        if row.level == "partly":
            yield f"| ◐ | {_code(row)}: {row.note} |"
    refused: dict[str, list[str]] = {}
    for row in DOCKER_FLAGS:
        if row.level == "no":
            refused.setdefault(row.note, []).append(_code(row))
    for note, names in refused.items():
        yield f"| ✗ | {', '.join(names)}: {note} |"
    yield f"| + | pyoci's own: {', '.join(f'`{flag}`' for flag in sorted(OWN_FLAGS))} |"


def _full() -> Iterator[str]:
    cases = read_cases()
    yield "# What of docker is there"
    yield ""
    yield f"Written by `script/support-table` from the tests. {len(cases)} small builds were recorded from BuildKit"
    yield "(`fixtures/builds`), and pyoci is held to the same config, history, layers and files in each, entry by"
    yield "entry, but for the differences at the end. ✓ is there, ◐ is there in part, ✗ is an error that names it."
    yield ""
    for title, rows in (("The Dockerfile", LANGUAGE), ("Flags of docker build", DOCKER_FLAGS)):
        yield f"## {title}"
        yield ""
        yield "| | | known by | |"
        yield "|---|---|---|---|"
        for row in rows:
            yield f"| {_MARKS[row.level]} | {_code(row)} | {_proofs(row)} | {row.note} |"
        yield ""
    yield "## Known differences"
    yield ""
    for name, reason in KNOWN.items():
        yield f"- `{name}`: {reason}."


def _proofs(row: Row) -> str:
    builds = recorded(row)
    shown = ", ".join(builds[:3]) + (f" and {len(builds) - 3} more" if len(builds) > 3 else "")
    parts = [f"{len(builds)} recorded build{'s' if len(builds) > 1 else ''}: {shown}"] if builds else []
    return "<br>".join([*parts, *(f"`{test.replace('::', ' ')}`" for test in row.tests)])


def _parent(row: Row) -> str:
    """`RUN` of `RUN --mount`; a mount type belongs to it as well."""
    keyword, blank, flag = row.name.partition(" ")
    return keyword if blank and flag.startswith("--") else ""


def _short(row: Row) -> str:
    return row.name.partition(" ")[2].replace("--mount=type=", "type=")


def _code(row: Row) -> str:
    return row.name if row.name == "heredocs" else f"`{row.name}`"
