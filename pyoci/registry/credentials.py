"""Who the user is at a registry: docker's `config.json`, podman's `auth.json` and credential helpers.

Files are read when a registry asks for credentials, not before, and each lookup reads them again, so that a login in
another terminal counts at once. Nothing here writes; `credential_files` does.

Formats: docker's cli documentation (`docker login`), containers-auth.json(5). Helper protocol:
docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from pyoci.errors import UsageError
from pyoci.reference import DEFAULT_REGISTRY
from pyoci.values import dataclass, field

__all__ = [
    "HELPER_TOKEN_USER",
    "HUB_KEY",
    "AuthEntries",
    "Credential",
    "CredentialFiles",
    "CredentialSource",
    "FixedCredentials",
    "JSONObject",
    "credential_paths",
    "decode_auth_file",
    "read_auth_file",
    "registry_of_key",
]

HUB_KEY = "https://index.docker.io/v1/"
"""What docker.io is called in docker's files and by helpers."""
HELPER_TOKEN_USER = "<token>"
"""The user name under which helpers and files keep identity tokens."""
_FILE_LIMIT = 4 * 1024 * 1024

JSONObject: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Credential:
    """A name with a password, or with a token that buys access tokens."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth 2 refresh token; when given, `password` is not used."""


class CredentialSource(Protocol):
    """Where credentials are looked up. May be used from several threads at once."""

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential for a repository of `registry` (as names spell it); None to stay anonymous."""


@dataclass(frozen=True, slots=True)
class FixedCredentials:
    """Credentials that were given for this command, by registry; asked before the files."""

    by_registry: Mapping[str, Credential]
    others: CredentialSource | None = None

    def find(self, registry: str, repository: str) -> Credential | None:
        found = self.by_registry.get(registry)
        if found is None and self.others is not None:
            return self.others.find(registry, repository)
        return found


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Credential files in the order in which they are asked, and what helpers need to run."""

    paths: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What helper programs run in; `PATH` finds them."""
    warn: Callable[[str], None] = field(default=lambda text: None, repr=False)
    """Told when a helper fails; the registry is then asked without credentials."""

    def find(self, registry: str, repository: str) -> Credential | None:
        """The most specific entry of the first file that has one: `host/team/app`, then `host/team`, then `host`.

        Raises:
            UsageError: a file is there but cannot be read or is not what it should be.
        """
        for path in self.paths:
            document = read_auth_file(path)
            if document is None:
                continue
            found = self._find_in(document, path, registry, repository)
            if found is not None:
                return found
        return None

    def _find_in(self, document: JSONObject, path: Path, registry: str, repository: str) -> Credential | None:
        entries = decode_auth_file(document, str(path))
        for key in _keys(registry, repository):
            helper = entries.helpers.get(key, "")
            if not helper and key == registry:
                helper = entries.store
            if helper:
                found = self._ask(helper, key)
                if found is not None:
                    return found
            if key in entries.auths:
                return entries.auths[key]
        return None

    def _ask(self, helper: str, key: str) -> Credential | None:
        from pyoci.registry.credential_helper import CredentialHelper, HelperFailure

        try:
            answer = CredentialHelper(helper, self.environment).get(HUB_KEY if key == DEFAULT_REGISTRY else key)
        except HelperFailure as failure:
            self.warn(f"no credentials for {key}: {failure}")
            return None
        if answer is None:
            return None
        username, secret = answer
        if username == HELPER_TOKEN_USER:
            return Credential(username, identity_token=secret)
        return Credential(username, secret)


def credential_paths(environment: Mapping[str, str], home: Path, uid: int) -> tuple[Path, ...]:
    """The files that hold credentials, in order: docker's, then podman's; `REGISTRY_AUTH_FILE` stands alone if set."""
    if explicit := environment.get("REGISTRY_AUTH_FILE"):
        return (Path(explicit),)
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}") / "containers" / "auth.json"
    if uid == 0 and not environment.get("XDG_RUNTIME_DIR"):
        runtime = Path("/run/containers/0/auth.json")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    return (docker, runtime, config)


@dataclass(frozen=True, slots=True)
class AuthEntries:
    """What one credential file says, under keys as `registry_of_key` spells them."""

    auths: Mapping[str, Credential] = field(repr=False)
    helpers: Mapping[str, str]
    store: str


def read_auth_file(path: Path) -> JSONObject | None:
    """The JSON object in a credential file; None when there is no such file. Its content never appears in an error.

    Raises:
        UsageError: it cannot be read, is too large or is not a JSON object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot read the credentials in {path}: {error.strerror}") from error
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw) if len(raw) <= _FILE_LIMIT else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object", hint="it should be as docker login or podman login writes it")
    return value


def decode_auth_file(document: JSONObject, name: str) -> AuthEntries:
    """The entries of a credential file. Where two spellings of one key are there, the first that holds anything
    counts.

    Raises:
        UsageError: an entry is malformed; the message names its key and nothing of its value.
    """
    auths: dict[str, Credential] = {}
    for key, value in _object(document, "auths", name).items():
        if not isinstance(value, dict):
            raise UsageError(f'{name}: "auths" → "{key}" must be an object')
        credential = _decode_entry(value, f'{name}: "auths" → "{key}"')
        if credential is not None:
            auths.setdefault(registry_of_key(key), credential)
    helpers: dict[str, str] = {}
    for key, value in _object(document, "credHelpers", name).items():
        if not isinstance(value, str):
            raise UsageError(f'{name}: "credHelpers" → "{key}" must be a string')
        helpers.setdefault(registry_of_key(key), value)
    store = document.get("credsStore")
    if store is None:
        store = ""
    if not isinstance(store, str):
        raise UsageError(f'{name}: "credsStore" must be a string')
    return AuthEntries(auths, helpers, store)


def registry_of_key(key: str) -> str:
    """The registry (and path, where podman's form has one) that a key of a credential file is about."""
    has_scheme = key.startswith(("https://", "http://"))
    text = key.partition("://")[2] if has_scheme else key
    host, _, path = text.strip("/").partition("/")
    if host in ("index.docker.io", "registry-1.docker.io", DEFAULT_REGISTRY):
        host = DEFAULT_REGISTRY
    if has_scheme or path in ("v1", "v2", ""):
        return host
    return f"{host}/{path}"


def _keys(registry: str, repository: str) -> Iterator[str]:
    parts = [registry, *(part for part in repository.split("/") if part)]
    for count in range(len(parts), 0, -1):
        yield "/".join(parts[:count])


def _object(document: JSONObject, key: str, name: str) -> JSONObject:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f'{name}: "{key}" must be an object')
    return value


def _decode_entry(entry: JSONObject, where: str) -> Credential | None:
    """None for the empty entries that docker leaves where a helper holds the secret."""

    def text(key: str) -> str:
        value = entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise UsageError(f'{where} → "{key}" must be a string')
        return value

    username, password, token = text("username"), text("password"), text("identitytoken")
    if encoded := text("auth"):
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise UsageError(f'{where} → "auth" is not base64', hint="log in again: pyoci login") from None
        name, colon, secret = decoded.partition(":")
        if not colon:
            raise UsageError(f'{where} → "auth" is not a name and a password', hint="log in again: pyoci login")
        username, password = name, secret.rstrip("\0")
    if username == HELPER_TOKEN_USER and not token:
        token, password = password, ""
    if not (username or password or token):
        return None
    return Credential(username, password, token)
