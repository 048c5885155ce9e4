"""The pipeline: Dockerfile, plan, solve, assemble. On one screen, so that the order is in one place."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping

from pyoci.build.agents import Agents
from pyoci.build.assemble import assemble_image
from pyoci.build.cache import Cache, ImportedCache, StoreCache
from pyoci.build.executor import StepExecutor
from pyoci.build.fetcher import Fetcher
from pyoci.build.filesystem import Filesystem, Result, SourceFiles
from pyoci.build.graph import Graph, Vertex, VertexID
from pyoci.build.listener import NOBODY, LayerListener
from pyoci.build.operations.run import RunServices
from pyoci.build.plan import Bases, Plan, PlanOptions
from pyoci.build.scopes import PROXY_NAMES
from pyoci.build.secrets import Secrets
from pyoci.build.solver import Executor, solve
from pyoci.build.stages import make_plan
from pyoci.build.steps import ImageStep
from pyoci.build.trees import Trees
from pyoci.digest import Digest
from pyoci.dockerfile.instructions import Dockerfile
from pyoci.errors import DockerfileError, raise_collected
from pyoci.image.image import Image, Layer
from pyoci.platforms import Platform
from pyoci.progress import Reporter
from pyoci.sandbox.protocols import NO_LIMITS, Limits, Sandbox
from pyoci.snapshot.protocols import Snapshotter
from pyoci.store import Store
from pyoci.values import dataclass, field

__all__ = [
    "BuildServices",
    "Built",
    "assembled",
    "build_images",
    "known_steps",
    "news_of_layers",
    "plan_images",
    "step_executor",
]


@dataclass(frozen=True, slots=True)
class BuildServices:
    """What a build works with; made by the composition root."""

    store: Store
    bases: Bases
    trees: Trees
    snapshotter: Snapshotter
    sandbox: Callable[[], Sandbox]
    begin_sandbox: Callable[[], None]
    """Begins to make the sandbox, and does not wait for it."""
    contexts: Mapping[str, SourceFiles]
    fetcher: Fetcher
    secrets: Secrets
    agents: Agents
    reporter: Reporter
    cancelled: threading.Event
    can_run: Callable[[Platform], bool]
    """Whether this machine executes programs of a platform, by itself or by emulation."""
    ca_bundle: bytes = field(default=b"", repr=False)
    """Certificates that every RUN is shown."""
    may_run: Callable[[], None] = lambda: None
    """Asked before a command runs; raises where none may."""
    listener: LayerListener = NOBODY
    """Hears of what images are made of as soon as it is there."""


@dataclass(frozen=True, slots=True)
class Built:
    """One image, the plan that it was made by and its file system."""

    plan: Plan
    image: Image
    filesystem: Filesystem
    results: Mapping[VertexID, Result] = field(repr=False, compare=False)
    """Of every vertex of the plan."""
    executor: Executor = field(repr=False, compare=False)
    """Who knows what the steps read."""

    @property
    def base_layers(self) -> int:
        """How many of the layers are those of the image that it was built on."""
        return len(self.plan.base.layers) if self.plan.base else 0


def plan_images(dockerfile: Dockerfile, options: tuple[PlanOptions, ...], services: BuildServices) -> tuple[Plan, ...]:
    """A plan per platform; refused before anything runs if a RUN is for programs that this machine cannot execute.

    Raises:
        DockerfileError and others: located; independent ones together.
    """
    plans = tuple(make_plan(dockerfile, option, services.bases) for option in options)
    problems = []
    for plan in plans:
        for run in plan.runs:
            if not services.can_run(run.platform):
                problems.append(
                    DockerfileError(
                        f"RUN needs to execute programs for {run.platform}, which this machine cannot",
                        hint="cross-compile in a stage FROM --platform=$BUILDPLATFORM and COPY the result, "
                        "or register an emulator with binfmt_misc (qemu-user-static)",
                        location=run.location,
                    )
                )
    raise_collected(problems)
    for name in sorted({name for plan in plans for name in plan.unused_args}):
        services.reporter.warning(
            f"build argument {name} was not consumed: no ARG of a stage that is built declares it"
        )
    return plans


def build_images(
    plans: tuple[Plan, ...],
    services: BuildServices,
    *,
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
    epoch: int,
    jobs: int = 0,
    timeout_seconds: float | None = None,
    limits: Limits = NO_LIMITS,
    imported: Mapping[Digest, Layer] | None = None,
) -> tuple[Built, ...]:
    """Carries the plans out as one graph, so that what they share runs once, and assembles an image from each.

    `imported` is what steps added elsewhere, by their keys.

    Raises:
        PyociError: of the first step that failed.
    """
    graph = Graph({name: vertex for plan in plans for name, vertex in plan.graph.vertices.items()})
    executor = step_executor(services, build_args=build_args, timeout_seconds=timeout_seconds, limits=limits)
    executor.check_contexts(graph)
    executor.look_ahead(graph)
    results = solve(
        graph,
        executor=executor,
        cache=known_steps(services.store, imported or {}),
        reporter=services.reporter,
        jobs=jobs or max(2, os.cpu_count() or 1),
        cancelled=services.cancelled,
        may_run=services.may_run,
        finished=news_of_layers(plans, services.listener),
    )
    return assembled(plans, results, executor, services, labels=labels, epoch=epoch)


def news_of_layers(plans: tuple[Plan, ...], listener: LayerListener) -> Callable[[Vertex, Result, bool], None]:
    """What the solver is to tell of: vertices whose results will be in the images."""
    below = {name: len(plan.base.layers) if plan.base else 0 for plan in plans for name in _stacked(plan)}

    def finished(vertex: Vertex, result: Result, is_new: bool) -> None:
        if vertex.id not in below or not isinstance(result, Filesystem):
            return
        if is_new:
            listener.image_changes()
        first = 0 if isinstance(vertex.step, ImageStep) else len(result.stack) - 1
        for number, element in enumerate(result.stack[first:], first):
            listener.stack_grows(element, is_base=number < below[vertex.id])

    return finished


def _stacked(plan: Plan) -> Iterator[VertexID]:
    """The vertices that the target stands on, and itself."""
    vertex = plan.graph.vertices[plan.target]
    while True:
        yield vertex.id
        if not vertex.inputs or isinstance(vertex.step, ImageStep):
            return
        vertex = plan.graph.vertices[vertex.inputs[0]]


def known_steps(store: Store, imported: Mapping[Digest, Layer]) -> Cache:
    """What is known of steps, here and elsewhere."""
    own = StoreCache(store)
    return ImportedCache(own, imported) if imported else own


def step_executor(
    services: BuildServices, *, build_args: Mapping[str, str], timeout_seconds: float | None, limits: Limits
) -> StepExecutor:
    """What carries out the steps of one build."""
    run = RunServices(
        store=services.store,
        trees=services.trees,
        snapshotter=services.snapshotter,
        sandbox=services.sandbox,
        begin_sandbox=services.begin_sandbox,
        secrets=services.secrets,
        agents=services.agents,
        cancelled=services.cancelled,
        proxy_env=tuple(f"{name}={value}" for name, value in sorted(build_args.items()) if name in PROXY_NAMES),
        timeout_seconds=timeout_seconds,
        limits=limits,
        ca_bundle=services.ca_bundle,
    )
    return StepExecutor(run, services.contexts, services.fetcher, services.reporter)


def assembled(
    plans: tuple[Plan, ...],
    results: Mapping[VertexID, Result],
    executor: Executor,
    services: BuildServices,
    *,
    labels: Mapping[str, str],
    epoch: int,
) -> tuple[Built, ...]:
    """An image from each plan whose graph was solved, in the store."""
    services.listener.settle()
    built = []
    for plan in plans:
        filesystem = results[plan.target]
        assert isinstance(filesystem, Filesystem)
        image = assemble_image(
            plan,
            filesystem,
            services.store,
            services.snapshotter,
            epoch=epoch,
            labels=labels,
        )
        built.append(Built(plan, image, filesystem, results, executor))
    return tuple(built)
