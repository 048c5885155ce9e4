from __future__ import annotations

import re
from pathlib import Path

from pyoci.preflight.findings import RULES

DOCUMENT = Path(__file__).parents[3] / "docs/preflight.md"


def test_the_table_of_rules_is_the_rules() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(rule.name, rule.severity, rule.summary) for rule in RULES.values()]
