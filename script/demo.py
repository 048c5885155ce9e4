"""What script/demo does once pyoci is installed: prints every command before it runs it."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO = CHECKOUT / ".demo"
BASES = CHECKOUT / "examples/bases"
PYOCI = str(DEMO / "venv/bin/pyoci")

REGISTRIES = ("registry-1.docker.io", "gcr.io")
REACH_SECONDS = 4.0
RUN_LINES = 3
RUN_SECONDS = 60.0

STATIC = "localhost/demo/static:latest"
GOLANG = "localhost/demo/golang:latest"
PUBLIC_STATIC = "gcr.io/distroless/static-debian12"
PUBLIC_GOLANG = "golang:1.27"
APP = "goapp:latest"
ONE_STAGE = "goapp:one-stage"


def heading(text: str) -> None:
    """A line between the parts of the demo."""
    print(f"\n== {text}", flush=True)


def shown(argument: str) -> str:
    """An argument as a person would type it in the checkout."""
    return shlex.quote(argument.replace(f"{CHECKOUT}/", "").replace(".demo/venv/bin/pyoci", "pyoci"))


def announce(command: list[str]) -> None:
    """The command line, before its output."""
    print("$ " + " ".join(map(shown, command)), flush=True)


def call(*command: str) -> None:
    """Runs a command in the open; its failure, already explained by itself, ends the demo with the same status."""
    announce(list(command))
    status = subprocess.run(command, cwd=CHECKOUT, env=environment(), check=False).returncode
    if status != 0:
        sys.exit(status if status > 0 else 128 - status)


def environment() -> dict[str, str]:
    """The caller's, with a store inside the demo's directory, so that the user's own is left alone."""
    return {**os.environ, "PYOCI_HOME": str(DEMO / "store")}


def unreachable() -> list[str]:
    """Those of the public registries that do not answer; an answer that asks for a login is an answer."""

    def ask(host: str) -> None:
        try:
            urllib.request.urlopen(f"https://{host}/v2/", timeout=REACH_SECONDS).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return
        answered.append(host)

    answered: list[str] = []
    threads = [threading.Thread(target=ask, args=(host,), daemon=True) for host in REGISTRIES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(REACH_SECONDS)
    return [host for host in REGISTRIES if host not in answered]


def make_contexts() -> Path:
    """The build contexts of the two bases; made once for each list of wheels."""
    requirements = BASES / "requirements.txt"
    made_from = hashlib.sha256(requirements.read_bytes() + (BASES / "contexts.py").read_bytes())
    for source in sorted((BASES / "static").rglob("*")):
        made_from.update(source.read_bytes() if source.is_file() else b"")
    contexts, stamp = DEMO / "contexts", DEMO / "contexts.sha256"
    if stamp.is_file() and stamp.read_text() == made_from.hexdigest():
        return contexts
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    wheels = DEMO / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    # What is fetched runs in the image and not here, so this machine's own C library has no say in it.
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in ("2_17", "2_28")]
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        finder = subprocess.run([CHECKOUT / "script/python"], capture_output=True, text=True, check=True)
        pip = [finder.stdout.strip(), "-m", "pip"]
    call(
        *pip,
        *("download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", *platforms),
        *("--require-hashes", "--requirement", str(requirements), "--dest", str(wheels)),
    )
    call(sys.executable, str(BASES / "contexts.py"), str(wheels), str(contexts))
    stamp.write_text(made_from.hexdigest())
    return contexts


def assemble_bases() -> list[str]:
    """Builds the two bases; returns the flags that put them in the place of the public ones."""
    contexts = make_contexts()
    call(PYOCI, "build", "-t", STATIC, "-f", str(BASES / "static/Dockerfile"), str(contexts / "static"))
    call(
        *(PYOCI, "build", "-t", GOLANG, "-f", str(BASES / "golang/Dockerfile")),
        *("--build-context", f"static=docker-image://{STATIC}", str(contexts / "golang")),
    )
    return [
        *("--build-context", f"{PUBLIC_GOLANG}=docker-image://{GOLANG}"),
        *("--build-context", f"{PUBLIC_STATIC}=docker-image://{STATIC}"),
    ]


def run_for_a_moment() -> None:
    """Runs the app until it has said who it is a few times, then ends it; below a background job SIGINT would not."""
    command = [PYOCI, "run", "--rm", APP]
    announce(command)
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment(), stdout=subprocess.PIPE, text=True)
    deadline = threading.Timer(RUN_SECONDS, process.kill)
    deadline.start()
    lines = 0
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        lines += 1
        if lines == RUN_LINES:
            process.terminate()
    status = process.wait()
    deadline.cancel()
    if lines < RUN_LINES:
        sys.exit(f"error: the app stopped with status {status} after {lines} lines, wanted {RUN_LINES}")


def main() -> None:
    """The demo, part by part."""
    parser = argparse.ArgumentParser(
        prog="script/demo", description="Builds, saves and runs the example of the README."
    )
    parser.add_argument("--online", action="store_true", help="use the public golang and distroless images")
    online = parser.parse_args().online

    heading("the bases")
    missing = unreachable()
    flags: list[str] = []
    if online and missing:
        hosts = " and ".join(missing)
        sys.exit(f"error: --online needs {hosts}, not in reach from here\nhint: script/demo needs no registry")
    if online:
        print(f"from their registries: {PUBLIC_GOLANG} and {PUBLIC_STATIC}")
    else:
        if missing:
            print("no public registry in reach: both bases are assembled here from wheels")
        else:
            print("both bases are assembled here from wheels; script/demo --online takes the public images instead")
        flags = assemble_bases()

    heading("the app: built in a stage with the compiler, shipped without it")
    call(PYOCI, "build", "-t", APP, *flags, "examples/goapp")
    heading("the same in one stage, for comparison")
    call(PYOCI, "build", "-t", ONE_STAGE, "--target", "builder", *flags, "examples/goapp")
    heading("an archive for docker load")
    call(PYOCI, "save", "-o", str(DEMO / "goapp.tar"), APP)
    print("docker load --input .demo/goapp.tar, podman load and ctr image import take it")
    heading("the app runs")
    run_for_a_moment()
    heading("what is shipped, and what would have been")
    call(PYOCI, "images", "goapp")


if __name__ == "__main__":
    main()
