"""Ssh agents that a build may use: sockets of this machine by the ID of `--ssh`, never their keys.

A key file is given to an agent of the build's own (`ssh-agent`), which ends with the build.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pyoci.build.request import SshSource
from pyoci.errors import BuildError

__all__ = ["Agents"]

_SECONDS = 20


class Agents:
    """The agents of one build. May be used from several threads; to be closed."""

    def __init__(
        self,
        sources: Iterable[SshSource],
        variables: Mapping[str, str],
        path_of: Callable[[str], Path],
        directory: Path,
    ) -> None:
        """`directory` is where the socket of an own agent is made."""
        self._sources = {source.id: source for source in sources}
        self._variables = variables
        self._path_of = path_of
        self._directory = directory
        self._sockets: dict[str, Path] = {}
        self._processes: list[int] = []
        self._lock = threading.Lock()

    def get(self, name: str) -> Path | None:
        """The socket of an agent, or None if the build was not given one of that ID.

        Raises:
            BuildError: there is no agent where the user said, or a key cannot be given to one.
        """
        source = self._sources.get(name)
        if source is None:
            return None
        with self._lock:
            if name not in self._sockets:
                self._sockets[name] = self._socket(source)
            return self._sockets[name]

    def _socket(self, source: SshSource) -> Path:
        text = source.path or self._variables.get("SSH_AUTH_SOCK", "")
        if not text:
            raise BuildError(
                "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set",
                hint=f"start an ssh agent, or name a socket or key: --ssh {source.id}=PATH",
            )
        path = self._path_of(text)
        try:
            kind = path.stat().st_mode
        except OSError as error:
            raise BuildError(f"--ssh {source.id}: cannot use {path}: {error.strerror}") from error
        return path if stat.S_ISSOCK(kind) else self._own_agent(source.id, path)

    def _own_agent(self, name: str, key: Path) -> Path:
        import shutil
        import subprocess

        programs = [shutil.which(program, path=self._variables.get("PATH")) for program in ("ssh-agent", "ssh-add")]
        if None in programs:
            raise BuildError(
                f"--ssh {name}: {key} is a key, and there is no ssh-agent to hold it",
                hint="install openssh-client, or give the socket of a running agent",
            )
        socket = self._directory / f"agent-{os.getpid()}-{len(self._processes)}"
        environment = {
            "PATH": self._variables.get("PATH", ""),
            "SSH_AUTH_SOCK": str(socket),
            "SSH_ASKPASS_REQUIRE": "never",
        }
        agent, add = (str(program) for program in programs)
        try:
            started = subprocess.run(
                [agent, "-s", "-a", str(socket)], capture_output=True, text=True, timeout=_SECONDS, check=True
            )
            number = started.stdout.partition("SSH_AGENT_PID=")[2].partition(";")[0]
            self._processes.append(int(number))
            subprocess.run(
                [add, str(key)],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise BuildError(
                f"--ssh {name}: the key {key} cannot be used",
                hint="it may have a passphrase: add it to an agent, and give that agent's socket",
            ) from error
        return socket

    def close(self) -> None:
        """Ends the agents that this build started."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        self._processes.clear()
