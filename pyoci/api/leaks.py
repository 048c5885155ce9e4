"""Secrets of a build, looked for in what it made: which values there are, and which layers were searched before.

That a layer was clean is remembered by a slow, salted digest of all values together, so that a cached build reads no
layer again and the store tells nobody what the values were.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pyoci.api.output_options import pushed_names
from pyoci.api.services import Services
from pyoci.build.builder import Built
from pyoci.build.request import BuildRequest
from pyoci.build.scopes import PROXY_NAMES
from pyoci.build.secrets import Secrets
from pyoci.digest import digest_hex
from pyoci.errors import PyociError
from pyoci.image.codec import canonical_json
from pyoci.image.image import Layer
from pyoci.layer.protocols import ChangeSet
from pyoci.preflight.findings import Finding
from pyoci.preflight.leak_forms import LEAST_BYTES, is_searchable
from pyoci.reference import parse_reference
from pyoci.snapshot.protocols import Stacked

if TYPE_CHECKING:
    from pyoci.registry.credentials import Credential

__all__ = ["LeakSearch", "secret_values"]

_SALT = "leaks-salt"
_ROUNDS = 100_000
_REMEMBERED = 16
"""Sets of secrets that are remembered for a layer."""
_KEY_LIMIT = 512 * 1024


def secret_values(request: BuildRequest, services: Services, secrets: Secrets) -> dict[str, bytes]:
    """Everything that this build was given and that nobody may see, by what messages call it.

    Secrets, key files given to `--ssh`, passwords in proxy addresses, and who the user is at the registries that this
    build read from or will push to.
    """
    found = {f'secret "{name}"': value for name, value in secrets.named_values().items()}
    for source in request.ssh:
        path = services.environment.path(source.path) if source.path else None
        if path is not None and path.is_file():
            with suppress(OSError), path.open("rb") as stream:
                found[f'the ssh key "{source.id}"'] = stream.read(_KEY_LIMIT)
    for name, address in (*services.environment.variables.items(), *request.build_args.items()):
        if name in PROXY_NAMES and "@" in address:
            password = _password(address)
            if password:
                found[f"the password in {name}"] = password.encode("utf-8", "surrogateescape")
    for registry, credential in _credentials(request, services).items():
        for kind, value in (("password", credential.password), ("token", credential.identity_token)):
            if value:
                found[f"the {kind} for {registry}"] = value.encode("utf-8", "surrogateescape")
    return found


def _credentials(request: BuildRequest, services: Services) -> Mapping[str, Credential]:
    for reference in pushed_names(request):
        with suppress(PyociError):  # the push itself will say what is wrong
            services.credentials.find(reference.registry, reference.repository)
    return _given(services)


def _given(services: Services) -> dict[str, Credential]:
    return dict(services.credentials.given) if "credentials" in services.made else {}


def _password(address: str) -> str | None:
    from urllib.parse import unquote, urlsplit

    with suppress(ValueError):
        password = urlsplit(address).password
        return unquote(password) if password else None
    return None


class LeakSearch:
    """Looks for the secrets of one build in what it makes. May be used from several threads."""

    def __init__(self, request: BuildRequest, services: Services, secrets: Secrets) -> None:
        self._request = request
        self._services = services
        self._secrets = secrets
        self._lock = threading.Lock()
        self._given: Mapping[str, Credential] = {}
        self._values: Mapping[str, bytes] | None = None
        self._searched: _Searched | None = None
        self._expected = False

    def expect_credentials(self, layers: Iterable[Layer]) -> None:
        """Asks now, and once, who the user is at the registries that these layers may have to be downloaded from: what
        `is_clean` lets pass must be free of their passwords as well.
        """
        with self._lock:
            if not self._expected:
                for layer in layers:
                    self._expect(layer)
                self._expected = True

    def _expect(self, layer: Layer) -> None:
        store, credentials = self._services.store, self._services.credentials
        for name in () if store.has(layer.descriptor) else store.origins(layer.descriptor.digest):
            with suppress(PyociError):  # the download itself will say what is wrong
                reference = parse_reference(name)
                credentials.find(reference.registry, reference.repository)

    def is_clean(self, layer: Layer, files: Stacked) -> bool:
        """Whether a layer holds none of the secrets that are known by now. What was found clean is not searched again.

        Raises:
            LayerError, ContentError: the layer's bytes cannot be had.
        """
        searchable = _searchable(self._known_values())
        if not searchable:
            return True
        from pyoci.preflight.leaks import find_leaks

        seen = self._seen(searchable)
        diff_id = digest_hex(layer.diff_id)
        if not seen.is_clean(diff_id):
            if find_leaks(searchable, [("", self._services.trees.changes(files))], {}):
                return False
            seen.remember(diff_id)
        return True

    def findings(self, one: Built) -> list[Finding]:
        """Where the build's secrets are in an image: its documents, and the layers that this build added.

        Raises:
            LayerError, ContentError: a layer's bytes cannot be had.
        """
        services = self._services
        values = self._known_values()
        searchable = _searchable(values)
        for label in sorted(values.keys() - searchable.keys()):
            services.reporter.message(
                f"preflight: {label} is not searched for: fewer than {LEAST_BYTES} bytes or an ordinary word mean "
                "nothing"
            )
        if not searchable:
            return []
        from pyoci.preflight.leaks import find_leaks

        documents = {"config": one.image.config.raw, "annotations": _annotations(self._request)}
        seen = self._seen(searchable)
        own = range(one.base_layers, len(one.image.layers))
        unknown = [number for number in own if not seen.is_clean(_diff_id(one, number))]
        found = find_leaks(searchable, _layers(one, services, unknown), documents)
        if not found:
            for number in unknown:
                seen.remember(_diff_id(one, number))
        return found

    def _known_values(self) -> Mapping[str, bytes]:
        """What is secret by now; read again when more was told to a registry."""
        with self._lock:
            if self._values is None or self._given != _given(self._services):
                self._values = secret_values(self._request, self._services, self._secrets)
                self._given = _given(self._services)
            return self._values

    def _seen(self, values: Mapping[str, bytes]) -> _Searched:
        with self._lock:
            if self._searched is None or self._searched.values != values:
                self._searched = _Searched(self._services, values)
            return self._searched


def _searchable(values: Mapping[str, bytes]) -> dict[str, bytes]:
    return {label: value for label, value in values.items() if is_searchable(value)}


def _annotations(request: BuildRequest) -> bytes:
    """What manifests and indexes will say once the image is written down."""
    wanted = [dict(request.annotations)]
    for output in request.outputs:
        wanted.append({key: value for key, value in output.attributes.items() if key.startswith("annotation")})
    return canonical_json(wanted)


def _diff_id(one: Built, number: int) -> str:
    return digest_hex(one.image.layers[number].diff_id)


def _layers(one: Built, services: Services, numbers: list[int]) -> Iterator[tuple[str, ChangeSet]]:
    for number in numbers:
        yield f"layer {number}", services.trees.changes(one.filesystem.stack[number])


class _Searched:
    """Which layers were searched for these values and found clean."""

    def __init__(self, services: Services, values: Mapping[str, bytes]) -> None:
        self.values = values
        self._store = services.store
        salt = self._store.read_file("records", _SALT)
        if salt is None or len(salt) < 32:
            salt = os.urandom(32)
            self._store.write_file("records", _SALT, salt)
        framed = b"".join(len(value).to_bytes(8, "big") + value for value in sorted(values.values()))
        self._mark = hashlib.pbkdf2_hmac("sha256", framed, salt, _ROUNDS, 16).hex()

    def _marks(self, diff_id: str) -> list[str]:
        raw = self._store.read_file("records", f"leaks1-{diff_id}")
        with suppress(ValueError, TypeError):
            return [str(mark) for mark in json.loads(raw or b"[]")]
        return []

    def is_clean(self, diff_id: str) -> bool:
        return self._mark in self._marks(diff_id)

    def remember(self, diff_id: str) -> None:
        marks = [self._mark, *self._marks(diff_id)][:_REMEMBERED]
        self._store.write_file("records", f"leaks1-{diff_id}", json.dumps(marks).encode())
