"""Build checks, outlines and targets of a Dockerfile, without building it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyoci.api.prepare import prepared
from pyoci.api.services import Options, opened
from pyoci.build.request import BuildRequest
from pyoci.dockerfile.findings import Finding
from pyoci.dockerfile.outline import Outline, Target, outline, targets

__all__ = ["check_build", "outline_build", "targets_of"]


def _request(context: str | Path | BuildRequest, fields: dict[str, Any]) -> BuildRequest:
    return context if isinstance(context, BuildRequest) else BuildRequest(context=context, **fields)


def check_build(
    context: str | Path | BuildRequest = ".", *, options: Options | None = None, **fields: Any
) -> list[Finding]:
    """What the build checks find in a Dockerfile: in the stages up to the target, or in all if no target is given.

    Raises:
        DockerfileError: it cannot be parsed.
    """
    request = _request(context, fields)
    with opened(options, pull=request.pull) as services, prepared(request, services) as parts:
        return parts.findings(all_stages=not request.target)


def outline_build(
    context: str | Path | BuildRequest = ".", *, options: Options | None = None, **fields: Any
) -> Outline:
    """The arguments, secrets and agents that a target takes.

    Raises:
        DockerfileError: the Dockerfile cannot be parsed.
    """
    request = _request(context, fields)
    with opened(options, pull=request.pull) as services, prepared(request, services) as parts:
        last = max(parts.needed_stages())
        return outline(parts.dockerfile, parts.check_inputs(all_stages=False), parts.dockerfile.stages[last])


def targets_of(
    context: str | Path | BuildRequest = ".", *, options: Options | None = None, **fields: Any
) -> tuple[Target, ...]:
    """The stages of a Dockerfile that can be built.

    Raises:
        DockerfileError: it cannot be parsed.
    """
    request = _request(context, fields)
    with opened(options, pull=request.pull) as services, prepared(request, services) as parts:
        return targets(parts.dockerfile)
