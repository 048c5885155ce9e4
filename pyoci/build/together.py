"""Several builds as one graph: what two of them share runs once, what they do not runs side by side.

A vertex's ID is made of what it does. Two builds may mean different things by the same words, though: a context is
known by its name, a secret by its ID, limits and proxies by nothing at all. Vertices are therefore named anew: contexts
by what is in them, and a RUN or a download together with those settings of its build that it can notice. Keys of the
cache are made of the steps alone, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyoci.build.builder import BuildServices, Built, assembled, known_steps, news_of_layers, step_executor
from pyoci.build.cache import Own
from pyoci.build.cache_key import structural_digest
from pyoci.build.executor import StepExecutor
from pyoci.build.filesystem import Result
from pyoci.build.graph import Graph, Vertex, VertexID
from pyoci.build.plan import Plan
from pyoci.build.request import BuildRequest
from pyoci.build.scopes import PROXY_NAMES
from pyoci.build.solver import solve
from pyoci.build.steps import ContextStep, GitStep, HttpStep, RunStep, SecretMountStep, SshMountStep, Step
from pyoci.digest import Digest, digest_hex
from pyoci.image.image import Layer
from pyoci.sandbox.protocols import Limits
from pyoci.values import dataclass, field, replace

__all__ = ["Job", "build_together"]


@dataclass(frozen=True, slots=True)
class Job:
    """One of the builds."""

    name: str
    """What its steps are titled with."""
    request: BuildRequest
    plans: tuple[Plan, ...]
    services: BuildServices
    """With the contexts by their new names."""
    contexts: Mapping[str, str]
    """The new name of each context, by the one that the plans use: equal names mean equal contents."""
    limits: Limits
    epoch: int
    imported: Mapping[Digest, Layer] = field(default_factory=dict, hash=False)
    """What steps added elsewhere, by their keys."""


@dataclass(slots=True)
class _Shared:
    """Implements the solver's `Executor`: hands each vertex to the build that brought it first."""

    owners: Mapping[VertexID, StepExecutor]

    def source(self, vertex: Vertex) -> Result:
        return self.owners[vertex.id].source(vertex)

    def read_digest(self, vertex: Vertex, position: int, source: Result) -> Digest:
        return self.owners[vertex.id].read_digest(vertex, position, source)

    def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
        return self.owners[vertex.id].execute(vertex, inputs)


def build_together(jobs: Sequence[Job], *, parallel: int) -> list[tuple[Built, ...]]:
    """Carries all plans out as one graph; returns what was built by each job, in their order.

    `parallel` is how many steps run at once.

    Raises:
        PyociError: of the first step that failed; nothing is assembled then.
    """
    vertices: dict[VertexID, Vertex] = {}
    owners: dict[VertexID, StepExecutor] = {}
    planned: list[tuple[Plan, ...]] = []
    for job in jobs:
        executor = step_executor(
            job.services,
            build_args=job.request.build_args,
            timeout_seconds=job.request.step_timeout_seconds,
            limits=job.limits,
        )
        plans = tuple(_renamed(plan, job) for plan in job.plans)
        planned.append(plans)
        for plan in plans:
            executor.check_contexts(plan.graph)
            executor.look_ahead(plan.graph)
            for name, vertex in plan.graph.vertices.items():
                owners.setdefault(name, executor)
                known = vertices.setdefault(name, vertex)
                if vertex.no_cache and not known.no_cache:
                    vertices[name] = replace(known, no_cache=True)
    services = jobs[0].services
    shared = _Shared(owners)
    heard = [news_of_layers(plans, job.services.listener) for job, plans in zip(jobs, planned, strict=True)]

    def finished(vertex: Vertex, result: Result, is_new: bool) -> None:
        for hear in heard:
            hear(vertex, result, is_new)

    results = solve(
        Graph(vertices),
        executor=shared,
        cache=known_steps(services.store, {key: layer for job in jobs for key, layer in job.imported.items()}),
        reporter=services.reporter,
        jobs=parallel,
        cancelled=services.cancelled,
        finished=finished,
    )
    return [
        assembled(
            plans,
            results,
            shared,
            job.services,
            labels=job.request.labels,
            epoch=job.epoch,
        )
        for job, plans in zip(jobs, planned, strict=True)
    ]


def _renamed(plan: Plan, job: Job) -> Plan:
    """The plan with IDs that mean the same in every job."""
    names: dict[VertexID, VertexID] = {}
    vertices: dict[VertexID, Vertex] = {}
    for old, vertex in plan.graph.vertices.items():
        step = vertex.step
        if isinstance(step, ContextStep):
            step = ContextStep(job.contexts[step.name])
        inputs = tuple(names[name] for name in vertex.inputs)
        digest = structural_digest(["vertex", step, list(inputs), _settings(step, job)])
        name = names[old] = VertexID(digest_hex(digest)[:32])
        title = vertex.title
        if title.startswith("[") and not title.startswith("[internal]"):
            title = f"[{job.name} {title[1:]}"
        vertices[name] = replace(vertex, id=name, step=step, inputs=inputs, title=title)
    return replace(plan, graph=Graph(vertices), target=names[plan.target])


def _settings(step: Step, job: Job) -> list[object]:
    """What else than the step decides on its result, in this job."""
    request = job.request
    match step:
        case RunStep():
            secrets = {mount.id for mount in step.mounts if isinstance(mount, SecretMountStep)}
            agents = any(isinstance(mount, SshMountStep) for mount in step.mounts)
            proxies = {name: value for name, value in request.build_args.items() if name in PROXY_NAMES}
            return [
                [source for source in request.secrets if source.id in secrets],
                list(request.ssh) if agents else [],
                proxies,
                str(request.step_timeout_seconds),
                request.ca_bundle,
                job.limits,
            ]
        case HttpStep() | GitStep():
            return [list(request.secrets), list(request.ssh)]
        case _:
            return []
