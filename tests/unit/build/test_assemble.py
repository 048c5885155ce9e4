"""Images from what steps made: who hears of a layer, and when."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pyoci.build.assemble import assemble_image
from pyoci.build.filesystem import SCRATCH
from pyoci.build.plan import Base, PlanOptions
from pyoci.build.stages import make_plan
from pyoci.dockerfile.parser import parse_dockerfile
from pyoci.errors import UsageError
from pyoci.image import Layer
from pyoci.layer.entry import Change, Entry, LayerPath, Upsert
from pyoci.location import SourceFile
from pyoci.platforms import Platform
from pyoci.sandbox.protocols import Root
from pyoci.snapshot.protocols import Rootfs, SnapshotID, Stacked
from pyoci.store import Store

HERE = Platform("linux", "amd64")


class NoBases:
    def named(self, name: str, platform: Platform) -> Base | None:
        return None

    def image(self, name: str, platform: Platform) -> Base:
        raise UsageError(f"{name} is not expected here")


@dataclass
class Kept:
    """A snapshotter of two RUNs, and a listener: what happened, in order."""

    store: Store
    events: list[str] = field(default_factory=list)

    def changes(self, snapshot: SnapshotID) -> Sequence[Change]:
        self.events.append(f"read {snapshot[0]}")
        return [Upsert(Entry(LayerPath(snapshot[0]), "dir", mode=0o755))]

    def unpack(self, stack: Sequence[Stacked]) -> None:
        raise AssertionError

    def open_unpacked(self, layer: Layer, entry: Entry) -> int | None:
        raise AssertionError

    def checkout(self, stack: Sequence[Stacked]) -> AbstractContextManager[Rootfs]:
        raise AssertionError

    def view(self, stack: Sequence[Stacked]) -> AbstractContextManager[Root]:
        raise AssertionError

    def seed(self, stack: Sequence[Stacked], directory: Path) -> Path:
        raise AssertionError

    def open(self, snapshot: SnapshotID, entry: Entry) -> BinaryIO | int:
        raise AssertionError

    def image_changes(self) -> None:
        raise AssertionError

    def layer_ready(self, layer: Layer, files: Stacked, *, is_base: bool) -> None:
        assert not isinstance(files, Layer)
        assert self.store.has(layer.descriptor)
        assert not is_base
        self.events.append(f"heard of {files[0]}")


def test_a_layer_of_a_run_is_heard_of_before_the_next_is_made(tmp_path: Path) -> None:
    dockerfile = parse_dockerfile(SourceFile("Dockerfile", "FROM scratch\nRUN one\nRUN two\n"))
    options = PlanOptions(
        target="", platform=HERE, explicit_platform=False, build_platform=HERE, build_args={}, epoch=0
    )
    plan = make_plan(dockerfile, options, NoBases())
    filesystem = SCRATCH.plus(SnapshotID("a" * 32)).plus(SnapshotID("b" * 32))
    with Store(tmp_path / "store") as store:
        kept = Kept(store)
        image = assemble_image(plan, filesystem, store, kept, epoch=0, labels={}, listener=kept)
    assert len(image.layers) == 2
    assert kept.events == ["read a", "heard of a", "read b", "heard of b"]
