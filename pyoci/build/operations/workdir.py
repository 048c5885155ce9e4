"""WORKDIR: makes the directory where it is missing, owned by the current USER."""

from __future__ import annotations

from collections.abc import Callable

from pyoci.build.files import FileView
from pyoci.build.operations.copy import Placement
from pyoci.build.operations.destination import Destination
from pyoci.build.operations.users import chown_ids
from pyoci.build.steps import WorkdirStep

__all__ = ["make_workdir"]


def make_workdir(step: WorkdirStep, below: FileView, warn: Callable[[str], None]) -> Destination:
    """The tree with the directory in it.

    Raises:
        BuildError: a component is no directory, or the user is unknown.
    """
    to = Destination(below)
    path = to.resolve(step.path)
    owner = chown_ids(below, step.user, warn) if step.user and to.lookup(path) is None else None
    to.make_directories(path, Placement(owner, None, step.epoch).parent)
    return to
