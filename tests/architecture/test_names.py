"""What `import pyoci` gives: functions, however often they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyoci


def test_a_name_stays_the_function_that_it_is() -> None:
    code = (
        "import pyoci, pyoci.api\n"
        "names = [(pyoci, name) for name in pyoci.__all__] + [(pyoci.api, name) for name in pyoci.api.__all__]\n"
        "for again in range(3):\n"
        "    for package, name in names:\n"
        "        value = getattr(package, name)\n"
        "        assert callable(value) or isinstance(value, str), (name, value)\n"
    )
    directory = Path(pyoci.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
