"""Everything about a build that is known before it is planned: the Dockerfile, what its names mean, what it may use.

Shared by `build`, `check` and `outline`, which go on from here in different ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pyoci.api.bases import NamedBases
from pyoci.api.build import build_tags
from pyoci.api.certificates import read_ca_bundle
from pyoci.api.contexts import ContextOpener, LazyContexts, git_context
from pyoci.api.emulation import can_run
from pyoci.api.epoch import BuildEpoch, EpochSources, build_epoch
from pyoci.api.fetching import Fetching
from pyoci.api.services import Services
from pyoci.api.sources import BuildInputs, read_inputs
from pyoci.build.agents import Agents
from pyoci.build.builder import BuildServices
from pyoci.build.operations.certificates import marked_bundle
from pyoci.build.plan import PlanOptions
from pyoci.build.request import BuildRequest, SshSource
from pyoci.build.scopes import platform_arguments
from pyoci.build.secrets import Secrets
from pyoci.dockerfile.checks import CheckOptions, parse_check_options
from pyoci.dockerfile.findings import BaseImage, CheckInputs, Finding
from pyoci.dockerfile.instructions import Dockerfile, Stage
from pyoci.dockerfile.lines import NO_OTHER_FRONTEND, is_known_frontend
from pyoci.dockerfile.lint import check_dockerfile
from pyoci.dockerfile.parser import parse_dockerfile
from pyoci.errors import DockerfileError, PyociError, UsageError, raise_collected
from pyoci.platforms import Platform, parse_platform
from pyoci.reference import Reference
from pyoci.sandbox.protocols import Limits, Ulimit
from pyoci.values import dataclass, field, replace

__all__ = ["Prepared", "prepared"]

_DEFAULT_SHM_BYTES = 64 << 20


@dataclass(slots=True)
class Prepared:
    """The parts of one build."""

    request: BuildRequest
    services: Services
    dockerfile: Dockerfile
    inputs: BuildInputs
    opener: ContextOpener
    fetching: Fetching
    bases: NamedBases
    secrets: Secrets
    agents: Agents
    tags: tuple[Reference, ...]
    times: BuildEpoch = field(default_factory=BuildEpoch)
    """Of everything new."""
    context_names: dict[str, str] = field(default_factory=dict)
    """What the user calls contexts, by the names that they have in the plan, if those are others (in a bake)."""

    @property
    def epoch(self) -> int:
        """Seconds since 1970: the time of everything new."""
        return self.times.seconds

    def _wanted_platforms(self) -> list[Platform]:
        here = self.services.environment.platform
        wanted = [parse_platform(part, default=here) for text in self.request.platforms for part in text.split(",")]
        return list(dict.fromkeys(wanted))

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """What the images are for, as far as the request says; else this machine's."""
        return tuple(self._wanted_platforms()) or (self.services.environment.platform,)

    @property
    def plan_options(self) -> tuple[PlanOptions, ...]:
        """One for each platform that is asked for."""
        request, here = self.request, self.services.environment.platform
        wanted = self._wanted_platforms()
        common = PlanOptions(
            target=request.target,
            platform=here,
            explicit_platform=bool(wanted),
            build_platform=here,
            build_args=request.build_args,
            epoch=self.epoch,
            epoch_argument=self.times.argument,
            network="none" if request.network == "none" else "host",
            hostname=request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME", "buildkitsandbox"),
            allow_insecure="security.insecure" in request.allow,
            no_cache=request.no_cache,
            no_cache_stages=frozenset(name.lower() for name in request.no_cache_filter),
            cache_namespace=request.build_args.get("BUILDKIT_CACHE_MOUNT_NS", ""),
            show_platform=len(wanted) > 1,
        )
        return tuple(replace(common, platform=platform) for platform in wanted) or (common,)

    @property
    def limits(self) -> Limits:
        """What a RUN may use."""
        request = self.request
        return Limits(
            ulimits=tuple(Ulimit(name, soft, hard) for name, (soft, hard) in request.ulimits.items()),
            shm_bytes=request.shm_size or _DEFAULT_SHM_BYTES,
            memory_bytes=request.memory,
            cgroup_parent=request.cgroup_parent,
            add_hosts=request.add_hosts,
        )

    @property
    def ca_bundle(self) -> bytes:
        """What RUN is shown of certificates.

        Raises:
            UsageError: the file cannot be used.
        """
        certificates = read_ca_bundle(self.request.ca_bundle, self.services.environment)
        return marked_bundle(certificates) if certificates else b""

    def build_services(self) -> BuildServices:
        """What the builder works with."""
        services = self.services
        openers = {name: partial(self.opener.named, value) for name, value in self.bases.contexts.items()}
        return BuildServices(
            store=services.store,
            bases=self.bases,
            trees=services.trees,
            snapshotter=services.snapshotter,
            sandbox=lambda: services.sandbox,
            begin_sandbox=services.begin_worker,
            contexts=LazyContexts({".": lambda: self.inputs.context, **openers}),
            fetcher=self.fetching,
            secrets=self.secrets,
            agents=self.agents,
            reporter=services.reporter,
            cancelled=services.cancelled,
            can_run=self._can_run,
            ca_bundle=self.ca_bundle,
        )

    def _can_run(self, platform: Platform) -> bool:
        services = self.services
        return can_run(platform, services.environment.platform, scratch=services.store.root / "tmp")

    # build checks

    @property
    def check_options(self) -> CheckOptions:
        """Which checks count: what BUILDKIT_DOCKERFILE_CHECK says, else the Dockerfile.

        Raises:
            UsageError: the build argument is malformed.
        """
        text = self.request.build_args.get("BUILDKIT_DOCKERFILE_CHECK")
        if text is None:
            return self.dockerfile.check
        try:
            return parse_check_options(text)
        except ValueError as error:
            raise UsageError(
                f'BUILDKIT_DOCKERFILE_CHECK: "{error}" is no option of checks',
                hint="write skip=RULE,RULE;error=true",
            ) from error

    def check_inputs(self, *, all_stages: bool) -> CheckInputs:
        """What the checks are told. Base images are asked for only as far as planning asks for them anyway."""
        options = self.plan_options[0]
        target = self._target().name or "" if self.request.target else ""
        return CheckInputs(
            builtins=platform_arguments(options.build_platform, options.platform, target),
            target_platform=options.platform,
            build_args=self.request.build_args,
            base_image=self._base_image,
            ignore=self.inputs.ignore,
            stages=None if all_stages else self.needed_stages(),
        )

    def _target(self) -> Stage:
        wanted = self.request.target.lower()
        for stage in self.dockerfile.stages:
            if wanted in (stage.name, str(stage.index)):
                return stage
        return self.dockerfile.stages[-1]

    def needed_stages(self) -> frozenset[int]:
        """Indexes of the stages up to the target: those that it may be made from."""
        return frozenset(range(self._target().index + 1))

    def _base_image(self, name: str, platform: Platform) -> BaseImage | None:
        try:
            base = self.bases.named(name, platform) or self.bases.image(name, platform)
        except PyociError:
            return None  # planning, which asks for the same, says what is wrong
        if base.image is None:
            return None
        config = base.image.config.value.config
        return BaseImage(
            env=dict(entry.partition("=")[::2] for entry in config.env),
            shell=config.shell or (),
            on_build=config.on_build,
            platform=base.image.platform,
        )

    def findings(self, *, all_stages: bool) -> list[Finding]:
        """What the build checks find."""
        return check_dockerfile(self.dockerfile, self.check_inputs(all_stages=all_stages), options=self.check_options)

    def report_checks(self) -> None:
        """Warns of what the checks find, or ends the build where `# check=error=true` asks for that.

        Raises:
            DockerfileError: one for each finding, together.
        """
        found = self.findings(all_stages=False)
        if self.check_options.error:
            raise_collected([DockerfileError(_line(one), hint=one.rule.help, location=one.location) for one in found])
        for one in found:
            self.services.reporter.warning(_line(one), location=one.location)


def _line(finding: Finding) -> str:
    return f"{finding.rule.name}: {finding.message}"


def _ssh_sources(request: BuildRequest) -> tuple[SshSource, ...]:
    """What `--ssh` gave; the user's agent, if nothing was given and the context is reached over ssh (as in buildx)."""
    git = git_context(str(request.context)) if not request.ssh else None
    return (SshSource("default"),) if git is not None and git.is_ssh else request.ssh


def _check_frontend(request: BuildRequest) -> None:
    name = request.build_args.get("BUILDKIT_SYNTAX", "")
    if name and not is_known_frontend(name):
        raise UsageError(f'the frontend "{name}" of BUILDKIT_SYNTAX is not available', hint=NO_OTHER_FRONTEND)


@contextmanager
def prepared(request: BuildRequest, services: Services) -> Iterator[Prepared]:
    """The parts of a build, as long as the block runs.

    Raises:
        DockerfileError: the Dockerfile cannot be parsed.
        UsageError and others: something that the request names is not there.
    """
    tags = build_tags(request)
    environment = services.environment
    ssh = _ssh_sources(request)
    secrets = Secrets(request.secrets, environment.variables, environment.path)
    fetching = Fetching(services, secrets, ssh)
    opener = ContextOpener(services, fetching)
    agents = Agents(ssh, environment.variables, environment.path, services.store.root / "tmp")
    try:
        inputs = read_inputs(request, services, opener, fetching)
        dockerfile = parse_dockerfile(inputs.dockerfile)
        _check_frontend(request)
        bases = NamedBases(services, request.build_contexts)
        sources = EpochSources(request, environment, dockerfile, inputs.context.files, bases, opener, fetching)
        parts = Prepared(request, services, dockerfile, inputs, opener, fetching, bases, secrets, agents, tags)
        parts.times = build_epoch(sources, parts.platforms)
        yield parts
    finally:
        agents.close()
