"""The peers that read Dockerfiles: Debian's buildah, podman and docker.io, and BuildKit where it is on PATH."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.tools import (
    LAYERS,
    Bare,
    Daemonless,
    Lab,
    Pyoci,
    Task,
    Tool,
    joined,
    needs_root,
    printed,
    remove_below,
    unmount_below,
)
from benchmark.without_dockerfile import Crane, Ko, Skopeo, Umoci

__all__ = ["all_tools"]

START_SECONDS = 30.0
TRANSFERS = frozenset({"pull", "push", "pull-store", "push-store", "load", "look"})
LOADED = "layers:latest"
"""What the image in docker.tar is called."""


def all_tools(lab: Lab, program: Path) -> list[Tool]:
    """Every tool that the benchmark knows, pyoci first; `program` is pyoci's."""
    tools: list[Tool] = [Pyoci(lab, program), BuildKit(lab), Docker(lab), Buildah(lab), Podman(lab)]
    return [*tools, Umoci(lab), Skopeo(lab), Crane(lab), Ko(lab), Bare(lab)]


def module_version(program: str, module: str) -> str:
    """The version of its main module that the Go toolchain noted in a program; "unknown" where it did not."""
    found = re.search(rf"mod\t{module}\t(\S+)".encode(), Path(shutil.which(program) or "").read_bytes())
    return found[1].decode() if found else "unknown"


class WithDaemon(Daemonless):
    """A tool whose work is done by a daemon, started by hand on a socket and in directories of its own."""

    daemon: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The daemon's."""
        return self.lab.run / f"{self.name}.sock"

    def missing(self) -> str:
        return needs_root(self.programs)

    def launch(self, command: list[str], ready: Callable[[], bool]) -> None:
        """Starts the daemon and waits until it answers.

        Raises:
            OSError: it ended, or did not answer in time.
        """
        log = self.lab.run / f"{self.name}.log"
        with log.open("wb") as out:
            self.daemon = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment(), start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"{command[0]} does not answer: {log.read_text(errors='replace').strip()[-200:]}")
            time.sleep(0.1)

    def pids(self) -> tuple[int, ...]:
        return (self.daemon.pid,) if self.daemon else ()

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            try:
                self.daemon.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon = None
        super().stop()

    def ask(self, *words: str | Path) -> bool:
        """Whether a command ends well."""
        done = subprocess.run(words, capture_output=True, env=self.environment(), timeout=120, check=False)
        return done.returncode == 0


class BuildKit(WithDaemon):
    """buildkitd with runc, and buildctl; the daemon is warm in every job."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "buildkit", ("buildkitd", "buildctl", "runc"))

    def version(self) -> str:
        said = printed("buildkitd", "--version").split()[2]
        return said if "unknown" not in said else module_version("buildkitd", "github.com/moby/buildkit")

    def start(self) -> None:
        config = self.lab.run / "buildkitd.toml"
        config.write_text(f'[registry."{self.lab.registry}"]\n  http = true\n')
        command = ["buildkitd", "--addr", f"unix://{self.socket}", "--root", str(self.lab.place(self.name) / "root")]
        command += ["--config", str(config), "--containerd-worker=false", "--oci-worker-net", "host"]
        command += ["--oci-worker-binary", shutil.which("runc") or "runc"]
        self.launch(command, lambda: self.ask(*self._control("debug", "workers")))

    def _control(self, *words: str | Path) -> list[str | Path]:
        return ["buildctl", "--addr", f"unix://{self.socket}", *words]

    def empty(self) -> None:
        self.ask(*self._control("prune", "--all"))

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined("buildctl", "--version")
        words = self._control("build", "--progress=plain", "--frontend=dockerfile.v0")
        words += [f"--local=context={task.context}", f"--local=dockerfile={task.context}"]
        if task.kind == "unpack":
            return joined(*words)
        if task.kind in TRANSFERS:
            return None
        return joined(*words, f"--output=type=image,name={self.reference(task)},push=true")


class Docker(WithDaemon):
    """Debian's docker.io: the classic image store, with the BuildKit that is in it; the daemon is warm in every job."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "docker", ("dockerd", "docker", "containerd", "runc"))
        debian = Path("/usr/bin/docker")  # a later client would want a plugin for the BuildKit of an older daemon
        self._client = str(debian) if debian.exists() else "docker"

    def version(self) -> str:
        return printed("dockerd", "--version").removeprefix("Docker version ").split(",")[0]

    def start(self) -> None:
        command = ["dockerd", "--data-root", str(self.lab.place(self.name) / "data")]
        command += ["--exec-root", str(self.lab.run / "docker"), "--pidfile", str(self.lab.run / "docker.pid")]
        command += ["--host", f"unix://{self.socket}", "--iptables=false", "--ip6tables=false", "--bridge=none"]
        self.launch(command, lambda: self.ask(*self._docker("version")))

    def _docker(self, *words: str | Path) -> list[str | Path]:
        return [self._client, "--host", f"unix://{self.socket}", *words]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "DOCKER_BUILDKIT": "1"}

    def stop(self) -> None:
        super().stop()
        unmount_below(self.lab.run / "docker")  # a namespace stays mounted in netns

    def empty(self) -> None:
        self.ask(*self._docker("system", "prune", "--all", "--force", "--volumes"))
        self.ask(*self._docker("builder", "prune", "--all", "--force"))

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined(self._client, "--version")
        if task.kind == "unpack":
            return joined(*self._docker("pull", "--quiet", self.base("golang")))
        match task.kind:
            case "pull-store":
                return joined(*self._docker("pull", "--quiet", self.base(LAYERS)))
            case "look":
                return joined(*self._docker("image", "inspect", self.base(LAYERS)))
            case "load":
                load = joined(*self._docker("load", "--quiet", "--input", task.context / "docker.tar"))
                return f"{load} && {joined(*self._docker('tag', LOADED, self.reference(task)))}"
            case "push-store":
                return joined(*self._docker("push", "--quiet", self.reference(task)))
            case "pull" | "push":
                return None
            case _:
                pass
        build = self._docker("build", "--network=host", "--tag", self.reference(task), task.context)
        return joined(*build) + " && " + joined(*self._docker("push", self.reference(task)))


class Containers(Daemonless):
    """What buildah and podman have in common: storage options, and a build followed by a push."""

    def missing(self) -> str:
        return needs_root(self.programs)

    def storage(self) -> list[str | Path]:
        """The program with a storage of its own."""
        place = self.lab.place(self.name)
        return [self.name, "--root", place / "root", "--runroot", self.lab.run / self.name, "--storage-driver=overlay"]

    def build(self, task: Task) -> str:
        """Builds with layers kept, so that the next build finds them; stages at once, where it can do that."""
        words = [*self.storage(), "build", "--layers", "--tls-verify=false", "--network=host", "--jobs=0"]
        words += self.isolation()
        push = [*self.storage(), "push", "--tls-verify=false", self.reference(task)]
        return joined(*words, "--tag", self.reference(task), task.context) + " && " + joined(*push)

    def transfer(self, task: Task) -> str | None:
        """Between the registry and the store, where layers are unpacked; None for a layout, which is skopeo's."""
        match task.kind:
            case "pull-store":
                return joined(*self.storage(), "pull", "--quiet", "--tls-verify=false", self.base(LAYERS))
            case "look":
                return joined(*self.storage(), "inspect", "--type=image", self.base(LAYERS))
            case "load":
                load = joined(*self.storage(), "pull", "--quiet", f"docker-archive:{task.context}/docker.tar")
                return f'{joined(*self.storage(), "tag")} "$({load})" {shlex.quote(self.reference(task))}'
            case "push-store":
                return joined(*self.storage(), "push", "--quiet", "--tls-verify=false", self.reference(task))
            case _:
                return None

    def isolation(self) -> list[str]:
        """How RUN is isolated."""
        return ["--isolation=oci"]

    def empty(self) -> None:
        super().empty()
        remove_below(self.lab.run / self.name)

    def stop(self) -> None:
        super().stop()
        remove_below(self.lab.run / self.name)

    def unpacked(self, output: str) -> Path | None:
        return Path(output.strip().splitlines()[-1])


class Buildah(Containers):
    """Debian's buildah, with runc."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "buildah", ("buildah", "runc"))

    def version(self) -> str:
        return printed("buildah", "--version").split()[2]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "BUILDAH_RUNTIME": shutil.which("runc") or "runc"}

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined("buildah", "--version")
        if task.kind == "unpack":
            words = [*self.storage(), "from", "--tls-verify=false", "--name=unpacked", self.base("golang")]
            return joined(*words) + " && " + joined(*self.storage(), "mount", "unpacked")
        return self.transfer(task) if task.kind in TRANSFERS else self.build(task)


class Podman(Containers):
    """Debian's podman, with runc."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "podman", ("podman", "runc"))

    def version(self) -> str:
        return printed("podman", "--version").split()[2]

    def storage(self) -> list[str | Path]:
        return [*super().storage(), "--cgroup-manager=cgroupfs", f"--runtime={shutil.which('runc') or 'runc'}"]

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined("podman", "--version")
        if task.kind == "unpack":
            words = [*self.storage(), "create", "--tls-verify=false", "--name=unpacked", self.base("golang"), "/bin/sh"]
            return joined(*words) + " && " + joined(*self.storage(), "mount", "unpacked")
        return self.transfer(task) if task.kind in TRANSFERS else self.build(task)
