"""The peers: Debian's buildah, podman, docker.io, umoci with skopeo; BuildKit, crane and ko where they are on PATH."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.tools import (
    Bare,
    Daemonless,
    Lab,
    Pyoci,
    Task,
    Tool,
    absent,
    joined,
    printed,
    remove_below,
    unmount_below,
)

__all__ = ["all_tools"]

START_SECONDS = 30.0


def all_tools(lab: Lab, program: Path) -> list[Tool]:
    """Every tool that the benchmark knows, pyoci first; `program` is pyoci's."""
    tools: list[Tool] = [Pyoci(lab, program), BuildKit(lab), Docker(lab), Buildah(lab), Podman(lab)]
    return [*tools, Umoci(lab), Crane(lab), Ko(lab), Bare(lab)]


def module_version(program: str, module: str) -> str:
    """The version of its main module that the Go toolchain noted in a program; "unknown" where it did not."""
    found = re.search(rf"mod\t{module}\t(\S+)".encode(), Path(shutil.which(program) or "").read_bytes())
    return found[1].decode() if found else "unknown"


def needs_root(programs: tuple[str, ...]) -> str:
    """Why these cannot be used, where they work as root alone."""
    return absent(programs) or ("needs root" if os.geteuid() != 0 else "")


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
        return self.build(task)


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
        return self.build(task)


class Umoci(Daemonless):
    """Debian's umoci, which unpacks what Debian's skopeo fetches."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "umoci", ("umoci", "skopeo"), reads_dockerfiles=False)

    def missing(self) -> str:
        return needs_root(self.programs)

    def version(self) -> str:
        return f"{printed('umoci', '--version').split()[-1]}, skopeo {printed('skopeo', '--version').split()[-1]}"

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined("umoci", "--version")
        if task.kind != "unpack":
            return None
        place = self.lab.place(self.name)
        fetch = [
            "skopeo",
            "copy",
            "--src-tls-verify=false",
            f"docker://{self.base('golang')}",
            f"oci:{place}/layout:golang",
        ]
        return (
            joined(*fetch) + " && " + joined("umoci", "unpack", "--image", f"{place}/layout:golang", place / "bundle")
        )

    def unpacked(self, output: str) -> Path | None:
        return self.lab.place(self.name) / "bundle/rootfs"


class Crane(Daemonless):
    """crane, which puts a tar onto an image without any of its layers; it keeps no store."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "crane", ("crane", "tar"), reads_dockerfiles=False)

    def version(self) -> str:
        return printed("crane", "version")

    def command(self, task: Task) -> str | None:
        place = self.lab.place(self.name)
        tar, root = place / "layer.tar", shlex.quote(str(place / "root"))
        append = joined("crane", "append", "--insecure", "--new_layer", tar, "--new_tag", self.reference(task))
        match task.kind:
            case "binary":
                fixed = ["--mtime=@0", "--owner=0", "--group=0", "--transform=s,^,usr/local/bin/,"]
                pack = joined("tar", "-C", task.context, *fixed, "-cf", tar, "app")
                return f"{pack} && {append} --base {self.base('static')}"
            case "layer":
                return joined("tar", "-C", task.context, "-cf", tar, "tree") + f" && {append}"
            case "unpack":
                export = joined("crane", "export", "--insecure", self.base("golang"), "-")
                return f"mkdir -p {root} && {export} | tar -C {root} -x"
            case "version":
                return joined("crane", "version")
            case _:
                return None

    def unpacked(self, output: str) -> Path | None:
        return self.lab.place(self.name) / "root"


class Ko(Daemonless):
    """ko, which puts a Go program onto a base: compiled by the builder image's toolchain, which it need not fetch."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "ko", ("ko",), reads_dockerfiles=False)

    def version(self) -> str:
        return printed("ko", "version")

    def environment(self) -> dict[str, str]:
        place = self.lab.place(self.name)
        inherited = own_path(super().environment(), self.lab.go_root / "bin")
        return {
            **inherited,
            "KO_DEFAULTBASEIMAGE": self.base("static"),
            "GOCACHE": str(place / "go-build"),
            "GOPATH": str(place / "go"),
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=mod",
        }

    def command(self, task: Task) -> str | None:
        if task.kind == "version":
            return joined("ko", "version")
        if task.kind not in {"go", "go-cache"}:
            return None
        repository = f"KO_DOCKER_REPO={shlex.quote(f'{self.lab.registry}/{task.repository}')}"
        build = joined("ko", "build", "--bare", "--insecure-registry", "--sbom=none", ".")
        return f"cd {shlex.quote(str(task.context))} && {repository} {build}"


def own_path(environment: dict[str, str], first: Path) -> dict[str, str]:
    """The same with a directory in front of PATH."""
    return {**environment, "PATH": f"{first}:{environment['PATH']}"}
