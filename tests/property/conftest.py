"""How hypothesis runs here: a machine that is busy with other tests is no failure.

The gate (PYOCI_REQUIRE) sees the same cases each time, so that what fails there is what was changed. Every other run
sees cases of its own, and script/fuzz many more.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("busy", deadline=None, derandomize="PYOCI_REQUIRE" in os.environ)
settings.load_profile("busy")
