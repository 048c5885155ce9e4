"""What may be imported without paying for the HTTP library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.integration.real.programs import output

LIGHT = "pyoci.registry", "pyoci.registry.hosts", "pyoci.registry.hosts_files", "pyoci.registry.credentials"


def imported_by(*modules: str) -> set[str]:
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    return set(
        json.loads(output([sys.executable, "-c", code], environment={"PYTHONPATH": str(Path(__file__).parents[3])}))
    )


def test_configuration_and_credentials_need_no_http_library() -> None:
    found = imported_by(*LIGHT)
    assert not found & {"requests", "urllib3", "ssl", "http.client", "subprocess", "concurrent.futures"}


def test_a_client_that_has_asked_nothing_needs_none() -> None:
    assert not imported_by("pyoci.registry.client", "pyoci.registry.connections") & {"requests", "urllib3", "certifi"}
    assert "requests" in imported_by("pyoci.registry.pools")
