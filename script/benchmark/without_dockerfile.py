"""Peers that read no Dockerfile: Debian's umoci and skopeo; crane and ko where they are on PATH."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmark.tools import LAYERS, Daemonless, Lab, Task, joined, needs_root, printed

__all__ = ["Crane", "Ko", "Skopeo", "Umoci"]


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


class Skopeo(Daemonless):
    """Debian's skopeo, which moves images and builds none."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "skopeo", ("skopeo",), reads_dockerfiles=False)

    def version(self) -> str:
        return printed("skopeo", "--version").split()[-1]

    def command(self, task: Task) -> str | None:
        copy = ("skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false")
        match task.kind:
            case "pull":
                return joined(*copy, f"docker://{self.base(LAYERS)}", f"oci:{self.layout()}:latest")
            case "push":
                return joined(*copy, f"oci:{task.context}/layout:latest", f"docker://{self.reference(task)}")
            case "version":
                return joined("skopeo", "--version")
            case _:
                return None


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
            case "pull":
                return joined("crane", "pull", "--insecure", "--format=oci", self.base(LAYERS), self.layout())
            case "push":
                return joined("crane", "push", "--insecure", task.context / "layout", self.reference(task))
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
