"""Logging in and out: what is kept in credential files or given to a helper.

A file is replaced whole (written beside it with mode 0600, then renamed), what it holds besides is kept, and a link
to a file elsewhere stays a link. Whether the registry accepts a credential is `client.check_login`'s business, before
this.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pyoci.errors import PyociError, UsageError
from pyoci.reference import DEFAULT_REGISTRY
from pyoci.registry.credential_helper import CredentialHelper, HelperFailure
from pyoci.registry.credentials import (
    HELPER_TOKEN_USER,
    HUB_KEY,
    AuthEntries,
    Credential,
    JSONObject,
    decode_auth_file,
    read_auth_file,
    registry_of_key,
)

__all__ = ["erase_login", "save_login"]


def save_login(
    paths: tuple[Path, ...], registry: str, credential: Credential, *, environment: Mapping[str, str]
) -> str:
    """Keeps a credential for a registry; where: the helper that the first existing file names, else that file itself.

    `registry` may have a path (`host/team`), for a credential that counts below it alone.

    Raises:
        UsageError: the file cannot be read, is not a credential file, or the helper does not keep it.
        PyociError: the file cannot be written.
    """
    path = next((path for path in paths if path.exists()), paths[0])
    document = read_auth_file(path) or {}
    entries = decode_auth_file(document, str(path))
    auths = _auths(document)
    for key in [key for key in auths if registry_of_key(key) == registry]:
        del auths[key]
    key = _key(registry)
    helper = _helper_of(entries, registry)
    if helper:
        try:
            secret = credential.identity_token or credential.password
            username = HELPER_TOKEN_USER if credential.identity_token else credential.username
            CredentialHelper(helper, environment).store(key, username, secret)
        except HelperFailure as failure:
            raise UsageError(f"the login to {registry} was not kept: {failure}") from None
        auths[key] = {}  # as docker leaves it, so that others see that there is something
    else:
        auths[key] = _encode(credential)
    _write(path, document)
    return f"docker-credential-{helper}" if helper else str(path)


def erase_login(paths: tuple[Path, ...], registry: str, *, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Forgets the credentials for a registry everywhere; the files and helpers that had some.

    Raises:
        UsageError: a file cannot be read, or a helper fails.
        PyociError: a file cannot be written.
    """
    found = []
    for path in paths:
        document = read_auth_file(path)
        if document is None:
            continue
        entries = decode_auth_file(document, str(path))
        helper = _helper_of(entries, registry)
        if helper:
            asked = CredentialHelper(helper, environment)
            try:
                if asked.get(_key(registry)) is not None:
                    asked.erase(_key(registry))
                    found.append(f"docker-credential-{helper}")
            except HelperFailure as failure:
                raise UsageError(f"the login to {registry} was not forgotten: {failure}") from None
        auths = _auths(document)
        keys = [key for key in auths if registry_of_key(key) == registry]
        if keys:
            for key in keys:
                del auths[key]
            _write(path, document)
            if registry in entries.auths:
                found.append(str(path))
    return tuple(found)


def _key(registry: str) -> str:
    return HUB_KEY if registry == DEFAULT_REGISTRY else registry


def _helper_of(entries: AuthEntries, registry: str) -> str:
    """The general helper knows hosts alone, so a login below a path stays in the file."""
    return entries.helpers.get(registry, "") or (entries.store if "/" not in registry else "")


def _auths(document: JSONObject) -> JSONObject:
    """The member of a document that was decoded before, so that it is an object, null or missing."""
    auths = document.get("auths")
    if not isinstance(auths, dict):
        auths = document["auths"] = {}
    return auths


def _encode(credential: Credential) -> JSONObject:
    pair = f"{credential.username}:{credential.password}".encode()
    entry: JSONObject = {"auth": base64.b64encode(pair).decode("ascii")}
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    return entry


def _write(path: Path, document: JSONObject) -> None:
    data = json.dumps(document, indent="\t", ensure_ascii=False).encode() + b"\n"
    try:
        target = path.resolve()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise PyociError(f"cannot write {path}: {error.strerror}", hint="the old credentials are unchanged") from error
