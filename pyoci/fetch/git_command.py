"""The `git` program, run in an environment of its own: no configuration, hooks, prompts or credentials of the user's.

What it may speak is listed for every run. Headers with credentials go through the environment, which only this user can
read, and not through the command line. Its output is bounded, and it dies with the command that started it.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pyoci.errors import BuildError, Cancelled
from pyoci.fetch.protocols import Ssh
from pyoci.values import dataclass, field, replace

__all__ = ["NETWORK", "Git", "GitFailed", "find_git", "ssh_command"]

NETWORK = "https:http:ssh:git"
"""What repositories and submodules are fetched over."""
_CONFIG: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", os.devnull),
    ("core.symlinks", "true"),
    ("core.autocrlf", "false"),
    ("core.logAllRefUpdates", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("init.defaultBranch", "master"),
    ("advice.detachedHead", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("pack.threads", "1"),  # several give other packs each time
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("safe.directory", "*"),
)
_PROXIES = tuple(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "NO", "ALL"))
_OUTPUT_LIMIT = 64 << 20
_ERROR_TAIL = 16 << 10


class GitFailed(Exception):
    """git said no. The text is what it printed on standard error, without secrets."""

    @property
    def reason(self) -> str:
        """The line that says why."""
        lines = [line.strip() for line in str(self).splitlines() if line.strip()]
        marks = ("fatal: ", "error: ", "ERROR: ", "remote: error: ")
        fatal = [number for number, line in enumerate(lines) if line.startswith(marks)]
        first = fatal[-1] if fatal else len(lines) - 1
        line = (
            " ".join(lines[first : first + 2]) if lines and lines[first].endswith(":") else "".join(lines[first:][:1])
        )
        line = line or "git failed without a word"
        for mark in ("remote: ", "fatal: ", "error: ", "ERROR: "):
            line = line.removeprefix(mark)
        return line.rstrip(".")[:300]


def find_git(variables: Mapping[str, str]) -> str:
    """The program.

    Raises:
        BuildError: it is not installed, or too old to take its configuration from the environment.
    """
    program = shutil.which("git", path=variables.get("PATH", os.defpath))
    if program is None:
        raise BuildError(
            "git is not installed, and sources from git repositories need it",
            hint="install git, or take an archive of the repository over https",
        )
    version = Git(program, variables).text("version")
    numbers = re.findall(r"\d+", version)
    if [int(number) for number in numbers[:2]] < [2, 31]:
        raise BuildError(f"{version[:80]} is too old", hint="sources from git repositories need git 2.31 or newer")
    return program


def ssh_command(ssh: Ssh) -> str:
    """The ssh client that asks nobody anything, uses this agent or key alone, and notes the key of a new host.

    A host whose key is another than the noted one is refused.
    """
    options = [
        "BatchMode=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "StrictHostKeyChecking=accept-new",
        f"IdentityFile={_quoted(ssh.key) if ssh.key else 'none'}",
    ]
    if ssh.known_hosts:
        options.append(f"UserKnownHostsFile={' '.join(map(_quoted, ssh.known_hosts))}")
    if ssh.key is not None:
        options.append("IdentitiesOnly=yes")
    return shlex.join(["ssh", "-F", os.devnull, *(word for option in options for word in ("-o", option))])


def _quoted(path: Path) -> str:
    return f'"{path}"'


@dataclass(frozen=True, slots=True)
class Git:
    """How to run git. May be used from several threads."""

    program: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the user's environment: the search path and proxies are taken from it."""
    config: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Configuration beside the fixed one."""
    ssh: Ssh | None = None
    ca_bundle: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What must not be shown, whatever git prints."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    """An index file instead of the repository's."""

    def at(self, git_dir: Path, work_tree: Path | None = None, *, index: Path | None = None) -> Git:
        """The same for one repository."""
        return replace(self, git_dir=git_dir, work_tree=work_tree, index=index)

    def run(self, *arguments: str, protocols: str = "") -> bytes:
        """What git printed. It may speak no protocol but those in `protocols`, joined by colons.

        Raises:
            GitFailed: it exited with another status than 0.
            Cancelled: the build was interrupted.
        """
        command = [self.program, *([] if self.git_dir is None else [f"--git-dir={self.git_dir}"])]
        command += [] if self.work_tree is None else [f"--work-tree={self.work_tree}"]
        with subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work_tree or self.git_dir or "/",
            env=self._environment(protocols),
            start_new_session=True,
            umask=0o022,
        ) as process:
            try:
                output, errors = self._collect(process)
                status = process.wait()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if status != 0:
            raise GitFailed(self._without_secrets(errors.decode("utf-8", "replace")))
        return output

    def text(self, *arguments: str, protocols: str = "") -> str:
        """As `run`: a text without the last line end."""
        return self.run(*arguments, protocols=protocols).decode("utf-8", "surrogateescape").strip()

    def holds(self, *arguments: str) -> bool:
        """Whether git agrees: its exit status is 0."""
        try:
            self.run(*arguments)
        except GitFailed:
            return False
        return True

    def _collect(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """All of the output, and the end of what was printed on standard error."""
        assert process.stdout is not None
        assert process.stderr is not None
        output, errors = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, output)
            selector.register(process.stderr, selectors.EVENT_READ, errors)
            while selector.get_map():
                for key, _ in selector.select(timeout=0.2):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    key.data.extend(data)
                del errors[:-_ERROR_TAIL]
                if len(output) > _OUTPUT_LIMIT:
                    raise BuildError(f"git printed more than {_OUTPUT_LIMIT} bytes")
                if self.cancelled.is_set():
                    raise Cancelled
        return bytes(output), bytes(errors)

    def _environment(self, protocols: str) -> dict[str, str]:
        variables = {
            "PATH": self.variables.get("PATH", os.defpath),
            "LC_ALL": "C",
            "HOME": os.devnull,
            "XDG_CONFIG_HOME": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TEMPLATE_DIR": "",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": protocols or "none",
            "GIT_SSH_VARIANT": "ssh",
            "GIT_SSH_COMMAND": ssh_command(self.ssh or Ssh()),
        }
        if self.ssh is not None and self.ssh.agent is not None:
            variables["SSH_AUTH_SOCK"] = str(self.ssh.agent)
        if self.ca_bundle is not None:
            variables["GIT_SSL_CAINFO"] = str(self.ca_bundle)
        if self.index is not None:
            variables["GIT_INDEX_FILE"] = str(self.index)
        for name in _PROXIES:
            variables.update({key: self.variables[key] for key in (name, name.lower()) if key in self.variables})
        variables.update(_config_variables((*_CONFIG, *self.config)))
        return variables

    def _without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def _config_variables(config: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Configuration as git takes it from the environment (since 2.31)."""
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
