"""Programs that keep credentials: `docker-credential-NAME get|store|erase`, which speak JSON on standard input and
output.

A secret is never an argument, and what a helper prints beside its error message is never shown.
Protocol: docker/docker-credential-helpers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping

from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["CredentialHelper", "HelperFailure"]

_NOT_FOUND = ("credentials not found", "no credentials", "not found in native keychain")
_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OUTPUT_LIMIT = 256 * 1024


class HelperFailure(Exception):
    """A helper is missing, failed or answered nonsense; the text says which and holds no secret."""


@dataclass(frozen=True, slots=True)
class CredentialHelper:
    """One helper program, named without its `docker-credential-`."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 60

    def get(self, server: str) -> tuple[str, str] | None:
        """User name and secret for a server; None when the helper knows none.

        Raises:
            HelperFailure: it could not be asked.
        """
        status, output = self._run("get", server)
        if status != 0:
            if any(phrase in output.lower() for phrase in _NOT_FOUND):
                return None
            raise HelperFailure(f"{self._program} get failed: {_first_line(output) or f'exit status {status}'}")
        try:
            answer = json.loads(output)
            username, secret = answer["Username"], answer["Secret"]
        except (ValueError, TypeError, KeyError):
            raise HelperFailure(f"{self._program} get did not answer with Username and Secret") from None
        if not isinstance(username, str) or not isinstance(secret, str):
            raise HelperFailure(f"{self._program} get did not answer with Username and Secret")
        return (username, secret) if username or secret else None

    def store(self, server: str, username: str, secret: str) -> None:
        """Keeps a credential.

        Raises:
            HelperFailure: it was not kept.
        """
        self._expect("store", json.dumps({"ServerURL": server, "Username": username, "Secret": secret}))

    def erase(self, server: str) -> None:
        """Forgets a credential; none to forget is no error.

        Raises:
            HelperFailure: it could not be asked.
        """
        status, output = self._run("erase", server)
        if status != 0 and not any(phrase in output.lower() for phrase in _NOT_FOUND):
            raise HelperFailure(f"{self._program} erase failed: {_first_line(output) or f'exit status {status}'}")

    @property
    def _program(self) -> str:
        return f"docker-credential-{self.name}"

    def _expect(self, verb: str, request: str) -> None:
        status, output = self._run(verb, request)
        if status != 0:
            raise HelperFailure(f"{self._program} {verb} failed: {_first_line(output) or f'exit status {status}'}")

    def _run(self, verb: str, request: str) -> tuple[int, str]:
        if not _NAME.fullmatch(self.name):
            raise HelperFailure(f'"{self.name[:80]}" is not the name of a credential helper')
        path = shutil.which(self._program, path=self.environment.get("PATH", ""))
        if path is None:
            raise HelperFailure(f"{self._program} is not on PATH")
        try:
            done = subprocess.run(
                [path, verb],
                input=request.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(self.environment),
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HelperFailure(f"{self._program} did not answer within {self.timeout_seconds:g} s") from None
        except OSError as error:
            raise HelperFailure(f"{self._program} cannot be run: {error.strerror}") from error
        if len(done.stdout) > _OUTPUT_LIMIT:
            raise HelperFailure(f"{self._program} answered more than {_OUTPUT_LIMIT} bytes")
        return done.returncode, done.stdout.decode("utf-8", "replace")


def _first_line(output: str) -> str:
    line = output.strip().partition("\n")[0]
    return "".join(character for character in line if character.isprintable())[:200]
