"""Options for calls of the API that see nothing but one directory."""

from __future__ import annotations

from pathlib import Path

from pyoci.api.services import Options
from pyoci.environment import Environment
from pyoci.platforms import Platform
from pyoci.progress import Reporter


def options_in(directory: Path, reporter: Reporter | None = None) -> Options:
    environment = Environment(
        store=directory / "store",
        working_directory=directory,
        home=directory,
        uid=1000,
        gid=1000,
        platform=Platform("linux", "amd64"),
        now=0,
        variables={"XDG_RUNTIME_DIR": str(directory / "run")},
    )
    return Options(environment=environment, reporter=reporter or Reporter())
