"""Who hears of what an image is made of: steps of other stages and what is only looked at are not in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyoci.build.builder import news_of_layers
from pyoci.build.filesystem import SCRATCH, Filesystem
from pyoci.build.plan import Base, Plan, PlanOptions
from pyoci.build.stages import make_plan
from pyoci.build.steps import ContextStep, ImageStep
from pyoci.dockerfile.parser import parse_dockerfile
from pyoci.errors import UsageError
from pyoci.image import Image
from pyoci.location import SourceFile
from pyoci.platforms import Platform
from pyoci.snapshot.protocols import SnapshotID, Stacked
from tests.builders import make_image, make_layer
from tests.fakes.executor import layer_of

HERE = Platform("linux", "amd64")


@dataclass
class OneBase:
    """What every name of an image means."""

    base: Image

    def named(self, name: str, platform: Platform) -> Base | None:
        return None

    def image(self, name: str, platform: Platform) -> Base:
        if name != "base":
            raise UsageError(f"{name} is not expected here")
        return Base("the base", self.base)


@dataclass
class Listening:
    heard: list[object] = field(default_factory=list)

    def image_changes(self) -> None:
        self.heard.append("changes")

    def stack_grows(self, element: Stacked, *, is_base: bool) -> None:
        self.heard.append((element, is_base))

    def settle(self) -> None:
        self.heard.append("settled")


def plan_of(text: str, base: Image) -> Plan:
    options = PlanOptions(
        target="", platform=HERE, explicit_platform=False, build_platform=HERE, build_args={}, epoch=0
    )
    return make_plan(parse_dockerfile(SourceFile("Dockerfile", text)), options, OneBase(base))


def test_what_the_image_stands_on_is_heard_of_and_nothing_else() -> None:
    _, base = make_image([make_layer({"a": b"a"}), make_layer({"b": b"b"})])
    text = "FROM base AS other\nRUN true\nFROM base\nCOPY --from=other /a /c\nRUN true\n"
    plan = plan_of(text, base)
    listening = Listening()
    finished = news_of_layers((plan,), listening)
    copied, kept, elsewhere = layer_of("copied"), SnapshotID("a" * 32), SnapshotID("b" * 32)
    results: dict[str, Filesystem] = {}
    for name, vertex in plan.graph.vertices.items():
        if isinstance(vertex.step, ImageStep):
            results[name] = SCRATCH
            for layer in base.layers:
                results[name] = results[name].plus(layer)
        else:
            assert not isinstance(vertex.step, ContextStep)
            title = vertex.title
            own = copied if "COPY" in title else kept if "stage-1" in title else elsewhere
            results[name] = results[vertex.inputs[0]].plus(own)
        finished(vertex, results[name], not isinstance(vertex.step, ImageStep))
    lowest = [(layer, True) for layer in base.layers]
    assert listening.heard[:2] == lowest
    assert [one for one in listening.heard if one not in lowest] == [
        *("changes", (copied, False)),
        *("changes", (kept, False)),
    ]
