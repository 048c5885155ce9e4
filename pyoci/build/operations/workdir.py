"""WORKDIR: makes the directory where it is missing, owned by the current USER."""

from __future__ import annotations

from pyoci.build.files import FileView
from pyoci.build.operations.copy import Destination, Placement
from pyoci.build.operations.users import chown_ids
from pyoci.build.steps import WorkdirStep

__all__ = ["make_workdir"]


def make_workdir(step: WorkdirStep, below: FileView) -> Destination:
    """The tree with the directory in it.

    Raises:
        BuildError: a component is no directory, or the user is unknown.
    """
    to = Destination(below)
    path = to.resolve(step.path)
    if to.lookup(path) is None:
        owner = chown_ids(below, step.user) if step.user else None
        to.make_directories(path, Placement(owner, None, step.epoch))
    else:
        to.make_directories(path, Placement(None, None, step.epoch))
    return to
