"""Tests of one group stay on one worker: their servers exist once."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


def test_a_group_is_honoured(pytester: pytest.Pytester) -> None:
    """pytest-xdist tells groups apart by what it adds to a test's name, which not every pytest lets it do."""
    pytester.makepyfile("import pytest\npytestmark = pytest.mark.xdist_group('server')\ndef test_it(): pass")
    result = pytester.runpytest_subprocess("-n1", "--dist=loadgroup", "-v", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*test_it@server*"])
