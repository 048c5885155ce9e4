"""How an image came to be: SLSA provenance v1 with the fields that BuildKit gives it.

`min` says what the build started from, `max` also its arguments, the Dockerfile and every step. Neither holds a secret,
a path of the building machine, or the time of day: equal builds give equal provenance.
Spec: slsa.dev/spec/v1.1/provenance; BuildKit docs/attestations/slsa-definitions.md, whose names are used. A step is
pyoci's own, and no LLB: `internalParameters.buildConfig.steps`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pyoci.build.attestations import image_url, local_image_url
from pyoci.build.cache_key import plain_value
from pyoci.build.graph import Vertex
from pyoci.build.materials import Material
from pyoci.build.plan import BaseImage, Plan
from pyoci.build.request import BuildRequest
from pyoci.build.scopes import PROXY_NAMES
from pyoci.build.stage_plan import timestamp
from pyoci.build.steps import ContextStep, GitStep, HostStep, HttpStep, RunStep, SecretMountStep, SshMountStep
from pyoci.digest import digest_hex
from pyoci.fetch.url import public
from pyoci.image import Image
from pyoci.image.codec import encode_descriptor
from pyoci.location import Location, SourceFile
from pyoci.platforms import Platform
from pyoci.values import dataclass

__all__ = ["PREDICATE_TYPE", "BuildFacts", "Mode", "provenance"]

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
Mode = Literal["min", "max"]
_BUILD_TYPE = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_MAIN_CONTEXT = "."


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What is to be told of a build besides its plan."""

    mode: Mode
    builder_id: str
    version: str
    """Of pyoci."""
    request: BuildRequest
    dockerfile: SourceFile
    dockerfile_path: str
    """In what it was read from; no path of this machine."""
    config_source: Material | None
    """The context, if it is not of this machine."""
    contexts: Mapping[str, str]
    """What was given for names, without paths of this machine."""
    context_materials: tuple[Material, ...]
    """Of named contexts."""
    context_names: Mapping[str, str]
    """What the user calls contexts, by the names that the plan has for them, if those are others."""
    fetched: Callable[[HttpStep | GitStep], Material]
    ca_bundle: Mapping[str, Any] | None
    platform: Platform
    """Of this machine."""
    epoch: int
    """0 tells no time."""


def provenance(plan: Plan, image: Image, facts: BuildFacts) -> dict[str, Any]:
    """The predicate about one image."""
    vertices = list(plan.graph.vertices.values())
    locals_ = sorted({_local_name(v.step.name, facts) for v in vertices if isinstance(v.step, ContextStep)})
    if facts.config_source is None and facts.request.file != "-":
        locals_.append("dockerfile")
    else:
        locals_ = [name for name in locals_ if name != "context"]
    hosts = [vertex for vertex in vertices if isinstance(vertex.step, HostStep)]
    complete = not locals_ and not hosts
    online = any(isinstance(v.step, RunStep) and v.step.network != "none" for v in vertices)
    request: dict[str, Any] = {"frontend": "dockerfile.v0", "args": _arguments(facts)}
    if facts.mode == "max":
        request |= _secrets_and_agents(vertices)
    request["locals"] = [{"name": name} for name in locals_]
    metadata: dict[str, Any] = {
        "buildkit_metadata": _metadata(plan, image, facts) if facts.mode == "max" else {},
        "buildkit_completeness": {"request": facts.mode == "max", "resolvedDependencies": complete},
    }
    if complete and not online:
        metadata["buildkit_hermetic"] = True
    if facts.epoch:
        metadata |= {"startedOn": timestamp(facts.epoch), "finishedOn": timestamp(facts.epoch)}
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"configSource": _config_source(facts), "request": request},
            "internalParameters": _internal(plan, vertices, hosts, facts),
            "resolvedDependencies": [
                {"uri": material.uri, "digest": dict(material.digest)} for material in _materials(plan, vertices, facts)
            ],
        },
        "runDetails": {
            "builder": {"id": facts.builder_id, "version": {"pyoci": facts.version}},
            "metadata": metadata,
        },
    }


def _local_name(context: str, facts: BuildFacts) -> str:
    name = facts.context_names.get(context, context)
    return "context" if name == _MAIN_CONTEXT else name


def _config_source(facts: BuildFacts) -> dict[str, Any]:
    source: dict[str, Any] = {"path": facts.dockerfile_path}
    if facts.config_source is not None:
        source |= {"uri": facts.config_source.uri, "digest": dict(facts.config_source.digest)}
    return source


def _arguments(facts: BuildFacts) -> dict[str, str]:
    """As BuildKit names them; values of arguments and labels are told in `max` alone, proxies (and their passwords) and
    what says nothing of the result (the cache) never.
    """
    request = facts.request
    found = {f"context:{name}": value for name, value in facts.contexts.items()}
    if request.target:
        found["target"] = request.target
    if request.network != "default":
        found["force-network-mode"] = request.network
    if request.add_hosts:
        found["add-hosts"] = ",".join(f"{name}={address}" for name, address in request.add_hosts)
    if request.shm_size:
        found["shm-size"] = str(request.shm_size)
    if request.ulimits:
        found["ulimit"] = ",".join(f"{name}={soft}:{hard}" for name, (soft, hard) in request.ulimits.items())
    if facts.mode == "max":
        arguments = request.build_args.items()
        found |= {f"build-arg:{name}": value for name, value in arguments if name not in PROXY_NAMES}
        found |= {f"label:{name}": value for name, value in request.labels.items()}
    return found


def _secrets_and_agents(vertices: list[Vertex]) -> dict[str, Any]:
    mounts = [mount for vertex in vertices if isinstance(vertex.step, RunStep) for mount in vertex.step.mounts]
    found: dict[str, Any] = {}
    for key, kind in (("secrets", SecretMountStep), ("ssh", SshMountStep)):
        optional: dict[str, bool] = {}
        for mount in mounts:
            if isinstance(mount, kind):
                optional[mount.id] = optional.get(mount.id, True) and not mount.required
        if optional:
            found[key] = [{"id": name} | ({"optional": True} if optional[name] else {}) for name in sorted(optional)]
    return found


def _materials(plan: Plan, vertices: list[Vertex], facts: BuildFacts) -> list[Material]:
    """Images, then repositories, then files: each once, in order of their names."""
    images = [_image_material(base) for base in plan.base_images]
    fetched = [facts.fetched(vertex.step) for vertex in vertices if isinstance(vertex.step, GitStep | HttpStep)]
    fetched += facts.context_materials
    if facts.config_source is not None:
        fetched.append(facts.config_source)
    kinds = (images, [m for m in fetched if "sha1" in m.digest], [m for m in fetched if "sha1" not in m.digest])
    found: dict[str, Material] = {}
    for kind in kinds:
        for material in sorted(kind, key=lambda material: material.uri):
            found.setdefault(material.uri, material)
    return list(found.values())


def _image_material(base: BaseImage) -> Material:
    url = (
        local_image_url(base.name, base.platform, base.digest)
        if base.reference is None
        else image_url(base.reference, base.platform, base.digest)
    )
    return Material(url, {"sha256": digest_hex(base.digest)})


def _internal(plan: Plan, vertices: list[Vertex], hosts: list[Vertex], facts: BuildFacts) -> dict[str, Any]:
    found: dict[str, Any] = {"builderPlatform": str(facts.platform)}
    if hosts:
        # Whoever verifies should know: what these stages compiled with is in no image that could be looked at.
        found["hostStages"] = sorted(plan.host_stages)
    if facts.ca_bundle is not None:
        found["caBundle"] = dict(facts.ca_bundle)
    if facts.mode == "max":
        numbers = _numbers(vertices)
        found["buildConfig"] = {
            "steps": [
                {
                    "id": numbers[vertex.id],
                    "inputs": [numbers[each] for each in vertex.inputs],
                    "step": _told(vertex, facts),
                }
                for vertex in vertices
            ]
        }
    return found


def _numbers(vertices: list[Vertex]) -> dict[str, str]:
    return {vertex.id: f"step{number}" for number, vertex in enumerate(vertices)}


def _told(vertex: Vertex, facts: BuildFacts) -> object:
    """A step without what only this machine knows, and without credentials of a URL."""
    members = plain_value(vertex.step)
    assert isinstance(members, dict)
    match vertex.step:
        case ContextStep(name=name):
            members["name"] = _local_name(name, facts)
        case HostStep():
            del members["directories"]
        case HttpStep(url=url):
            members["url"] = public(url)
        case GitStep(remote=remote):
            members["remote"] = public(remote)
        case _:
            pass
    return members


def _metadata(plan: Plan, image: Image, facts: BuildFacts) -> dict[str, Any]:
    vertices = list(plan.graph.vertices.values())
    numbers = _numbers(vertices)
    text = base64.b64encode(facts.dockerfile.text.encode("utf-8", "surrogateescape")).decode("ascii")
    return {
        "source": {
            "infos": [{"filename": facts.dockerfile_path, "language": "Dockerfile", "data": text}],
            "locations": {numbers[v.id]: _places(v.location) for v in vertices},
        },
        "layers": {f"{numbers[plan.target]}:0": [[encode_descriptor(layer.descriptor) for layer in image.layers]]},
    }


def _places(location: Location | None) -> dict[str, Any]:
    if location is None:
        return {}
    lines = {"start": {"line": location.line}, "end": {"line": location.end_line or location.line}}
    return {"locations": [{"ranges": [lines]}]}
