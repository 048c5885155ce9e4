"""The image that is looked at: its config and its tree, with what every check asks of them."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.image.config import ContainerConfig
from pyoci.layer.entry import Entry
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from pyoci.preflight.access import Reached, reach
from pyoci.preflight.accounts import Account
from pyoci.preflight.reading import Files
from pyoci.values import dataclass

__all__ = ["Subject", "Target", "owner_and_mode"]

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What runtimes set where the image sets no PATH."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is to be executed, as messages call it, and what in the Dockerfile asks for it."""

    what: str
    """`entrypoint "/app"`."""
    causes: tuple[str, ...]
    script: str = ""
    """What the script is called that this is the interpreter of."""

    def interpreter(self, name: str) -> Target:
        """The interpreter of this script, or of the script that this interprets."""
        script = self.script or self.what
        return Target(f'{script}: its interpreter "{name}"', self.causes, script)


@dataclass(frozen=True, slots=True)
class Subject:
    """One image. All checks are functions of it."""

    config: ContainerConfig
    platform: Platform
    """Normalised."""
    files: Files
    account: Account
    """Who runs it; root where USER cannot be resolved."""
    env: Mapping[str, str]

    @property
    def tree(self) -> Tree:
        return self.files.tree

    @property
    def workdir(self) -> str:
        return self.config.working_dir or "/"

    @property
    def search_path(self) -> str:
        """PATH, as programs of the image see it."""
        return self.env.get("PATH", _DEFAULT_PATH)

    def reach(self, path: str) -> Reached:
        """Follows a path as the image's user, from its working directory."""
        return reach(self.tree, path, self.account, start=self.workdir)

    def is_mounted(self, path: str) -> bool:
        """Whether a path is in a declared volume, whose contents at run time nobody knows."""
        return any(path == volume or path.startswith(volume.rstrip("/") + "/") for volume in self.config.volumes)

    def exists(self, path: str) -> bool:
        """Whether there is something at a path, links followed."""
        return self.files.lookup(path) is not None

    def layer_cause(self, entry: Entry) -> str:
        """The cause that is the layer which has a file."""
        return f"layer {self.tree.layer_of(entry)}"

    def elsewhere(self, path: str) -> list[str]:
        """Files of the same name in other places; links that lead nowhere do not count."""
        name = path.rstrip("/").rpartition("/")[2]
        return [found for found in self.files.named(name) if found != path and self.exists(found)]


def owner_and_mode(entry: Entry) -> str:
    """Mode and owner in words, for messages about permissions."""
    return f"its mode is {entry.mode:04o}, its owner {entry.uid}:{entry.gid}"
