"""Which stages there are, what their names mean, and the plan of the target that is made from them."""

from __future__ import annotations

from pyoci.build.graph import Graph, Vertex, VertexID, vertex
from pyoci.build.plan import Base, BaseImage, Bases, Plan, PlannedRun, PlanOptions
from pyoci.build.scopes import BuildArguments, global_arguments, platform_arguments, with_epoch
from pyoci.build.stage_plan import PlannedStage, StagePlanner
from pyoci.build.steps import ContextStep, CopySource, CopyStep, HostStep, ImageStep
from pyoci.dockerfile.expand import expand
from pyoci.dockerfile.instructions import Dockerfile, Stage
from pyoci.errors import DockerfileError, PyociError, UsageError, located
from pyoci.location import Location
from pyoci.platforms import Platform, parse_platform
from pyoci.values import dataclass, replace

__all__ = ["Source", "Stages", "make_plan"]

_SCRATCH = "scratch"


def make_plan(dockerfile: Dockerfile, options: PlanOptions, bases: Bases) -> Plan:
    """The plan of the target stage; stages that it does not need are not looked at beyond their syntax.

    Raises:
        DockerfileError: located.
        UsageError: the target is no stage.
        ContentError, RegistryError: a base cannot be resolved; located.
    """
    stages = Stages(dockerfile, options, bases)
    stage = stages.plan(stages.target_index)
    if stage.on_host:
        name = dockerfile.stages[stages.target_index].written_name or stages.target_index
        raise DockerfileError(
            "the image would be made of this machine: its last stage starts from host:",
            hint=f"end with a stage that starts FROM scratch or an image, and COPY --from={name} what was built",
            location=stage.locations.get("from") or dockerfile.stages[stages.target_index].location,
        )
    unused = stages.arguments.unused()
    return Plan(
        graph=Graph(stages.vertices).needed_for([stage.vertex]),
        target=stage.vertex,
        platform=options.platform if options.explicit_platform else stage.platform,
        config=stage.config,
        author=stage.author,
        base=stage.base,
        history=stage.history,
        runs=tuple(stages.runs),
        locations=stage.locations,
        unused_args=tuple(unused),
        base_images=tuple(stages.base_images),
        host_stages=tuple(stages.host_stages),
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where COPY or a mount reads from: a vertex, and whether it is an image's file system or plain files."""

    vertex: VertexID
    context: str = ""
    """The context's name, if these are plain files and no file system."""

    @property
    def is_files(self) -> bool:
        return bool(self.context)


class Stages:
    """The stages of one Dockerfile for one target platform. Plans each at most once."""

    def __init__(self, dockerfile: Dockerfile, options: PlanOptions, bases: Bases) -> None:
        self.dockerfile = dockerfile
        self.options = options
        self.bases = bases
        self.arguments = BuildArguments(options.build_args)
        self.vertices: dict[VertexID, Vertex] = {}
        self.runs: list[PlannedRun] = []
        self.base_images: dict[BaseImage, None] = {}
        self.host_stages: list[str] = []
        self._planned: dict[int, PlannedStage] = {}
        self._under_way: list[int] = []
        self._names = {stage.name: stage.index for stage in dockerfile.stages if stage.name}
        self.target_index = self._target(options.target)
        target = dockerfile.stages[self.target_index]
        builtins = platform_arguments(options.build_platform, options.platform, target.name or "")
        self.scope = global_arguments(dockerfile, builtins, self.arguments)
        if options.epoch_argument is not None:
            self.scope = with_epoch(self.scope, options.epoch_argument)
            self.arguments = self.arguments.with_epoch(options.epoch_argument)

    def add(self, added: Vertex) -> VertexID:
        """Puts a vertex into the graph, if its like is not there yet."""
        self.vertices.setdefault(added.id, added)
        return added.id

    def _target(self, name: str) -> int:
        if not name:
            return len(self.dockerfile.stages) - 1
        found = self.find(name)
        if found is None:
            close = self._close_to(name)
            names = ", ".join(self._names) or "none has a name"
            raise UsageError(
                f'target stage "{name}" could not be found',
                hint=f'did you mean "{close[0]}"?' if close else f"stages of this Dockerfile: {names}",
            )
        return found

    def find(self, name: str) -> int | None:
        """The index of the stage with that name or number."""
        if name.isascii() and name.isdigit() and len(name) < 6:
            return int(name) if int(name) < len(self.dockerfile.stages) else None
        return self._names.get(name.lower())

    def plan(self, index: int) -> PlannedStage:
        """The stage, planned.

        Raises:
            DockerfileError: it depends on itself, or something in it is wrong.
        """
        planned = self._planned.get(index)
        if planned is not None:
            return planned
        stage = self.dockerfile.stages[index]
        if index in self._under_way:
            names = " -> ".join(str(self.dockerfile.stages[i].name or i) for i in (*self._under_way, index))
            raise DockerfileError(f"circular dependency detected on stage: {names}", location=stage.location)
        self._under_way.append(index)
        try:
            planned = self._planned[index] = StagePlanner(self, stage, self._begin(stage)).run()
        finally:
            self._under_way.pop()
        return planned

    def _word(self, text: str, location: Location, what: str) -> str:
        value = expand(text, self.scope.get, self.dockerfile.escape, location=location)
        if not value:
            raise DockerfileError(
                f'{what} "{text}" is empty once its variables are expanded',
                hint="only arguments declared before the first FROM count here; give a default, or pass --build-arg",
                location=location,
            )
        return value

    def _begin(self, stage: Stage) -> PlannedStage:
        """What the stage starts from: an earlier stage, an image, files, or nothing."""
        name = self._word(stage.base, stage.base_location, "base name")
        platform: Platform | None = None
        if stage.platform is not None:
            location = stage.platform_location or stage.location
            with located(location):
                platform = parse_platform(self._word(stage.platform, location, "platform"))
        if stage.name:
            base = self.bases.named(stage.name, platform or self.options.platform)
            if base is not None:
                started = self.from_base(base, platform or self.options.platform, stage.location, stage)
                return replace(started, replaced=True)
        earlier = self._names.get(name)  # BuildKit: lower case here, while COPY --from takes any
        if earlier is not None and earlier < stage.index:
            started = self.plan(earlier)
            return started.inherited()
        if name == _SCRATCH:
            return PlannedStage.scratch(self.add(vertex(ImageStep(()))), platform or self.options.platform)
        wanted = platform or self.options.platform
        with located(stage.base_location):
            base = self.resolve(name, wanted)
        explicit = platform is not None or self.options.explicit_platform
        if base.image is not None and not explicit:
            wanted = base.image.platform
        return self.from_base(base, wanted, stage.base_location, stage)

    def resolve(self, name: str, platform: Platform) -> Base:
        """What a name that is no stage stands for."""
        found = self.bases.named(name, platform)
        if found is not None:
            return found
        try:
            return self.bases.image(name, platform)
        except PyociError as error:
            close = self._close_to(name, 0.7)
            if close and error.hint is None:
                error.hint = f'did you mean the stage "{close[0]}"?'
            raise

    def _close_to(self, name: str, cutoff: float = 0.6) -> list[str]:
        import difflib  # for errors alone

        return difflib.get_close_matches(name.lower(), self._names, n=1, cutoff=cutoff)

    def from_base(self, base: Base, platform: Platform, location: Location, stage: Stage | None) -> PlannedStage:
        """A stage that starts from an image, or from files as if they were one."""
        self._remember(base)
        if base.image is not None:
            title = StagePlanner.from_title(self, stage, platform, base.title)
            added = vertex(ImageStep(base.image.layers), title=title, location=location)
            return PlannedStage.image(self.add(added), base.image, platform)
        if base.host:
            if platform != self.options.build_platform:
                raise DockerfileError(
                    f"host: runs programs for {self.options.build_platform}, and this stage is for {platform}",
                    hint="cross-compile in a stage FROM --platform=$BUILDPLATFORM",
                    location=location,
                )
            if stage is not None:
                self.host_stages.append(stage.written_name or str(stage.index))
            title = StagePlanner.from_title(self, stage, platform, base.title)
            added = vertex(HostStep(base.host, self.options.epoch), title=title, location=location)
            return PlannedStage.host(self.add(added), base.environment, platform)
        return PlannedStage.scratch(self.files_as_filesystem(base.context, ".", location), platform)

    def files_as_filesystem(self, context: str, path: str, location: Location) -> VertexID:
        """A vertex with a context's files as a file system of their own: for FROM and for bind mounts."""
        scratch = self.add(vertex(ImageStep(())))
        files = self.add(vertex(ContextStep(context), location=location))
        step = CopyStep((CopySource(1, path, pattern=False),), "/", parents=path != ".", epoch=self.options.epoch)
        title = f"[internal] load {path if path != '.' else 'files'} of context {context}"
        return self.add(vertex(step, (scratch, files), title=title, location=location))

    def directory_as_filesystem(self, source: VertexID, path: str, location: Location) -> VertexID:
        """A vertex with the contents of one directory as a file system of their own."""
        scratch = self.add(vertex(ImageStep(())))
        step = CopyStep((CopySource(1, path, pattern=False),), "/", epoch=self.options.epoch)
        return self.add(vertex(step, (scratch, source), title=f"[internal] load {path} for a cache", location=location))

    def source(self, name: str, user: Stage, location: Location, platform: Platform) -> Source:
        """What `--from=name` means in a stage.

        Raises:
            DockerfileError: a stage that comes later.
        """
        index = self.find(name)
        if index is not None:
            if index >= user.index:
                mine = user.name or str(user.index)
                raise DockerfileError(
                    f'cannot copy from stage "{name}", it needs to be defined before current stage "{mine}"',
                    hint="move the stage up",
                    location=location,
                )
            return Source(self.plan(index).vertex)
        if name.isascii() and name.isdigit():
            raise DockerfileError(
                f"invalid stage index {name}", hint=f"stages are 0 to {user.index - 1}", location=location
            )
        if name == _SCRATCH:
            return Source(self.add(vertex(ImageStep(()))))
        with located(location):
            base = self.resolve(name, platform)
        if base.host:
            raise DockerfileError(
                f'"{name}" is this machine, whose files are in no image',
                hint=f"start a stage FROM {name}, and copy from that stage what its RUN made",
                location=location,
            )
        if base.image is None:
            return Source(self.add(vertex(ContextStep(base.context), location=location)), base.context)
        self._remember(base)
        return Source(self.add(vertex(ImageStep(base.image.layers), title=f"FROM {base.title}", location=location)))

    def _remember(self, base: Base) -> None:
        if base.origin is not None:
            self.base_images.setdefault(base.origin)
