"""What documents point at."""

from __future__ import annotations

import json

import pytest

from pyoci.content.successors import may_have_subject


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"subject": {"digest": "sha256:0"}}),
        '{"\\u0073ubject": null}',
        '{"s\\u0075bject": null}',
        '{"subject"\n: null}',
    ],
)
def test_a_subject_is_seen_however_json_spells_it(text: str) -> None:
    assert "subject" in json.loads(text)
    assert may_have_subject(text.encode())


def test_most_manifests_have_none() -> None:
    text = json.dumps({"schemaVersion": 2, "layers": [], "annotations": {"about": "the subjects of a king"}})
    assert not may_have_subject(text.encode())
