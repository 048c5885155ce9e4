"""Git repositories made for one test, and `git daemon` on loopback to serve them."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GitServer", "SourceRepository", "git_server"]

COMMIT_TIME = 1600000000
_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_ALLOW_PROTOCOL": "file:git:http",
}


@dataclass(frozen=True)
class SourceRepository:
    """A working tree whose commits are pushed to a bare repository that is served."""

    work: Path
    bare: Path

    def git(self, *arguments: str, time: int = COMMIT_TIME) -> str:
        date = f"{time} +0000"
        environment = {**_ENVIRONMENT, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = subprocess.run(
            ["git", *arguments], cwd=self.work, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None], *, time: int = COMMIT_TIME) -> str:
        """Writes files (None removes one) and commits everything; returns the commit."""
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change", time=time)
        self.push()
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Makes what is served equal to what is here."""
        self.git("push", "--quiet", "--mirror", str(self.bare))
        self.git("--git-dir", str(self.bare), "update-server-info")


class GitServer:
    """Repositories below one directory."""

    def __init__(self, directory: Path, port: int) -> None:
        self.served = directory / "served"
        self._work = directory / "work"
        self.served.mkdir()
        self._work.mkdir()
        self._port = port

    def url(self, name: str) -> str:
        return f"git://127.0.0.1:{self._port}/{name}.git"

    def repository(self, name: str, *, form: str = "sha1") -> SourceRepository:
        """A new one with nothing in it."""
        made = SourceRepository(self._work / name, self.served / f"{name}.git")
        made.work.mkdir()
        made.git("init", "--quiet", f"--object-format={form}", "--initial-branch=main")
        made.git("init", "--quiet", "--bare", f"--object-format={form}", "--initial-branch=main", str(made.bare))
        return made


@contextmanager
def git_server(directory: Path) -> Iterator[GitServer]:
    """`git daemon` over what `GitServer.repository` makes."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = GitServer(directory, port)
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    command += [f"--base-path={server.served}", str(server.served)]
    with subprocess.Popen(
        command, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        try:
            for _ in range(100):
                with closing(socket.socket()) as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield server
        finally:
            daemon.terminate()
            daemon.wait(30)
