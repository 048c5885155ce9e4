"""`diff`: what differs between two images, wherever they are."""

from __future__ import annotations

from contextlib import ExitStack

from pyoci.api.anywhere import SeenImage, see
from pyoci.api.preflight import StoreMemory
from pyoci.api.services import Options, Services, opened
from pyoci.digest import Digest
from pyoci.inspection.config_diff import ConfigChange, config_changes
from pyoci.inspection.files_diff import FileChange, file_changes
from pyoci.inspection.layers_diff import LayerPair, layer_pairs
from pyoci.inspection.packages_diff import PackageChange, package_changes
from pyoci.preflight.reading import Files
from pyoci.values import dataclass

__all__ = ["ImageDiff", "diff"]


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """What is not the same in two images."""

    before: str
    """As it was named."""
    after: str
    before_digest: Digest
    """Of the manifest."""
    after_digest: Digest
    config: tuple[ConfigChange, ...]
    packages: tuple[PackageChange, ...]
    files: tuple[FileChange, ...]
    """In the order of a walk."""
    layers: tuple[LayerPair, ...]
    """All layers of both images."""

    @property
    def is_different(self) -> bool:
        """Whether a container would see a difference. Images whose times, history or layers alone differ are alike."""
        return bool(self.config or self.packages or self.files)


def diff(
    before: str, after: str, *, times: bool = False, platform: str = "", options: Options | None = None
) -> ImageDiff:
    """What differs between two images, which are named as `pyoci.api.anywhere` says.

    `times` counts times as well: of files, and when the images were created. Layers that are not here are fetched,
    unless both images have the same ones.

    Raises:
        UsageError: a name or the platform is none.
        ContentNotFound, RegistryError, LayerError, ContentError: there is no such image, or it cannot be read.
    """
    with opened(options) as services, ExitStack() as stack:
        old, new = see(before, platform, services, stack), see(after, platform, services, stack)
        files, packages = _contents(old, new, services, times=times)
        return ImageDiff(
            before,
            after,
            old.image.digest,
            new.image.digest,
            tuple(config_changes(old.image.config.value, new.image.config.value, times=times)),
            tuple(packages),
            tuple(files),
            tuple(layer_pairs(old.image, new.image)),
        )


def _contents(
    old: SeenImage, new: SeenImage, services: Services, *, times: bool
) -> tuple[list[FileChange], list[PackageChange]]:
    if old.image.config.value.diff_ids == new.image.config.value.diff_ids:
        return [], []
    trees = services.trees
    before, after = trees.of_stack(old.image.layers), trees.of_stack(new.image.layers)
    changes = list(file_changes(before, after, times=times))
    spool, memory = services.store.root / "tmp", StoreMemory(services)
    left, right = (Files(tree, spool=spool, memory=memory) for tree in (before, after))
    return changes, package_changes(left, right, changes, warn=services.reporter.warning)
