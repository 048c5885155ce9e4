"""Cases as text, and the world in which they are built, looked at and run."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from pyoci.api.build import build
from pyoci.api.check import CheckedImage, check
from pyoci.api.run import RunRequest, run
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest
from pyoci.environment import current_environment
from pyoci.errors import PyociError
from pyoci.location import Location
from pyoci.preflight.findings import Audience
from pyoci.progress import Reporter

__all__ = ["Case", "Gallery", "Ran", "read_cases"]


@dataclass(frozen=True, slots=True)
class Case:
    """One image of a gallery."""

    name: str
    dockerfile: str
    platform: str = ""
    """Given for images that this machine need not run."""
    audience: Audience = ""
    words: tuple[str, ...] = ()
    """What to run instead of the image's own."""
    status: int = 0
    output: str = ""
    """Words that running it prints."""
    findings: str = ""

    @property
    def is_run(self) -> bool:
        return bool(self.output or self.status)


def read_cases(path: Path) -> list[Case]:
    """The cases of a file: `=== name`, a Dockerfile, and lines that begin with `---`."""
    cases = []
    for part in path.read_text().split("\n=== ")[1:]:
        name, _, body = part.partition("\n")
        case = Case(name, "")
        dockerfile: list[str] = []
        text, _, findings = body.partition("\n--- finds\n")
        for line in text.strip("\n").split("\n"):
            key, _, value = line.removeprefix("--- ").partition(" ")
            if not line.startswith("--- "):
                dockerfile.append(line)
            elif key == "platform":
                case = replace(case, platform=value)
            elif key == "for":
                case = replace(case, audience=cast("Audience", value))
            elif key == "runs":
                case = replace(case, words=tuple(shlex.split(value)))
            elif key == "prints":
                case = replace(case, output=value)
            else:
                assert key == "fails", line
                status, _, output = value.partition(":")
                case = replace(case, status=int(status), output=output.strip())
        cases.append(replace(case, dockerfile="\n".join(dockerfile) + "\n", findings=findings.strip("\n")))
    return cases


class _Warnings(Reporter):
    """Keeps what preflight warns of while an image is built."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        """Line of the Dockerfile by text; 0 where there is none."""

    def warning(self, text: str, *, location: Location | None = None) -> None:
        if text.startswith("preflight: "):
            self.lines[text] = location.line if location else 0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a container ended."""

    status: int
    output: str


@dataclass(slots=True)
class Gallery:
    """One store with the bases, and a context with all programs."""

    directory: Path
    context: Path
    _built: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)

    def options(self, reporter: Reporter | None = None) -> Options:
        environment = replace(
            current_environment(self.directory / "store"),
            variables={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            working_directory=self.context,
        )
        return Options(environment=environment, reporter=reporter or Reporter())

    def request(self, case: Case, **fields: object) -> BuildRequest:
        request = BuildRequest(
            context=str(self.context),
            file="-",
            stdin=case.dockerfile.encode(),
            platforms=(case.platform,) if case.platform else (),
            preflight_for=case.audience,
        )
        return replace(request, **fields)  # type: ignore[arg-type]

    def image(self, case: Case, prefix: str = "case") -> str:
        """The case's image, built once; its name."""
        if case.name not in self._built:
            warnings = _Warnings()
            name = f"{prefix}/{case.name}"
            build(self.request(case, tags=(name,)), options=self.options(warnings))
            self._built[case.name] = name, warnings.lines
        return self._built[case.name][0]

    def checked(self, case: Case) -> CheckedImage:
        """What `pyoci check` says of the image."""
        name = self.image(case)
        (found,) = check(name, platform=case.platform, audience=case.audience, options=self.options())
        return found

    def findings(self, case: Case) -> str:
        """What is found, with the lines that building the image gave, as in the gallery's text."""
        lines = []
        checked = self.checked(case)
        warned = self._built[case.name][1]
        for found in checked.findings:
            line = warned.get(f"preflight: {found.line()}")
            place = f" {line}" if line else ""
            lines.append(f"{found.severity}{place}: {found.message} ({found.rule})")
            if found.hint:
                lines.append(f"  hint: {found.hint}")
        unheard = set(warned) - {f"preflight: {found.line()}" for found in checked.findings}
        return "\n".join([*lines, *(f"but the build said: {text}" for text in sorted(unheard))])

    def run(self, case: Case) -> Ran:
        """Runs the image in the sandbox."""
        name = self.image(case)
        with tempfile.TemporaryFile() as out:
            descriptor = out.fileno()
            request = RunRequest(
                name,
                command=case.words,
                entrypoint="" if case.words else None,
                stdout=descriptor,
                stderr=descriptor,
            )
            try:
                status, error = run(request, options=self.options()), ""
            except PyociError as failure:
                status, error = (2 if type(failure).__name__ == "UsageError" else 1), failure.message
            out.seek(0)
            return Ran(status, out.read().decode("utf-8", "replace") + error)
