"""`pyoci ls` and `delete` with a real registry, which deletes by digest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.real.registry import real_registry
from tests.integration.registry.command_line import CommandLine

pytestmark = pytest.mark.needs_registry


def test_tags_are_listed_and_deleted(tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    with real_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/app"
        tags = ["1", "2", "latest"]
        names = [word for tag in tags for word in ("-t", f"{name}:{tag}")]
        pyoci.ok("build", "-q", "--preflight=off", *names, "--push", ".")
        digest = pyoci.ok("push", f"{name}:1")
        assert sorted(pyoci.ok("ls", name).split()) == tags

        refused = pyoci("delete", f"{name}:1")
        assert refused.returncode == 1
        assert refused.stderr.endswith(f": pyoci delete {name}@{digest}\n")

        assert pyoci.ok("delete", f"{name}@{digest}") == f"Deleted: {name}@{digest}"
        gone = pyoci("delete", f"{name}@{digest}")
        assert gone.returncode == 1
        assert gone.stderr.startswith(f"error: cannot find {name}@{digest}: ")
        missing = pyoci("ls", f"{registry.host}/team/none")
        assert missing.returncode == 1
        assert missing.stderr.startswith(f"error: cannot list the tags of {registry.host}/team/none: ")
