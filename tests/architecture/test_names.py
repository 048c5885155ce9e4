"""What `import pyoci` gives: functions, however often they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyoci


def test_a_name_stays_the_function_that_it_is() -> None:
    code = (
        "import pyoci\n"
        "for again in range(3):\n"
        "    for name in pyoci.__all__:\n"
        "        value = getattr(pyoci, name)\n"
        "        assert callable(value) or isinstance(value, str), (name, value)\n"
    )
    directory = Path(pyoci.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
