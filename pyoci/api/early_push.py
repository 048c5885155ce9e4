"""Layers on their way to the registry while the build that makes them still runs.

A layer is sent when the step that makes it is done: what COPY made as it is in the store, what RUN changed once it is
compressed, which begins then (a push needs the bytes: DESIGN D13), while later steps run. Should one of them fail, the
next build finds the layer made. Layers of the base that are in the store are mounted or found there meanwhile. Configs,
manifests and tags are not sent here: they go at the end, when everything that can refuse the image has looked at it, so
that a build that fails leaves blobs that nothing names, which registries delete in time.

What may leave. The search for the build's secrets can refuse an image, and what was sent cannot be called back. So a
layer is searched here first, for all that `LeakSearch` knows, and sent only if it is clean; if one is not, nothing more
is sent, and the search of the whole image finds it again and says so. What is known at that time is everything: secrets
are read before a build is planned, and credentials that a later download could need are asked for before the first
layer is searched. Other findings of preflight are about the image and not about secrets; they end a build whose layers
may be in the registry, without a name.

Nothing is sent until a step was carried out: an image that is all in the cache is most likely in the registry too, and
one question will tell. An upload that fails ends no build: its error is the push's, told when the image is pushed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyoci.api.output_options import ImageOutput, pushed_outputs
from pyoci.api.prepare import Prepared
from pyoci.build.layers import layer_of_snapshot
from pyoci.build.plan import Plan
from pyoci.build.steps import ImageStep, Step
from pyoci.content.workers import Crew, Stop
from pyoci.digest import Digest
from pyoci.errors import Cancelled
from pyoci.image import Descriptor, Layer
from pyoci.reference import Reference
from pyoci.snapshot.protocols import SnapshotID, Stacked
from pyoci.values import dataclass, field

if TYPE_CHECKING:
    from pyoci.api.leaks import LeakSearch
    from pyoci.api.services import Services
    from pyoci.registry.blob_sink import MountFrom
    from pyoci.registry.repository import Repository

__all__ = ["EarlyPush", "Places", "early_push"]

_LOOKERS = 2
"""Layers that are made, searched and compressed at once."""
_SENDERS = 4
"""Uploads at once. Who looks never waits for them: what can refuse an image does not wait for a slow network."""
_GRACE_SECONDS = 2.0
"""How long a build that is over waits for uploads that nobody needs any more to be given up."""


@dataclass(slots=True)
class _Place:
    """One repository that is pushed to."""

    reference: Reference
    repository: Repository
    sent: set[Digest] = field(default_factory=set)
    lacked: bool = False
    """Whether there was a blob that it did not have."""
    failure: BaseException | None = None


class Places:
    """The repositories that one command pushes to, shared by all that it builds: each gets a blob once. May be used
    from several threads.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._at_work: dict[Digest | SnapshotID, threading.Lock] = {}

    def send(self, blob: Descriptor, references: Iterable[Reference], stop: Stop) -> None:
        """Brings a blob to the repositories of these references, one after another, but for those that refused one.

        Raises:
            Cancelled: `stop` was set.
        """
        with self.alone_with(blob.digest):
            for reference in references:
                place = self._place(reference)
                if place.failure is None and blob.digest not in place.sent:
                    self._send(blob, place, stop)

    def alone_with(self, what: Digest | SnapshotID) -> threading.Lock:
        """Held by who sends a blob, or makes a layer of what a RUN kept."""
        with self._lock:
            return self._at_work.setdefault(what, threading.Lock())

    def _send(self, blob: Descriptor, place: _Place, stop: Stop) -> None:
        from pyoci.content.copy import copy_blob

        try:
            outcome = copy_blob(
                blob,
                self._services.resolver.content,
                place.repository,
                kind="push",
                reporter=self._services.reporter,
                mount=place.repository.mount,
                stop=stop,
            )
            place.sent.add(blob.digest)
            place.lacked = place.lacked or outcome != "exists"
        except Cancelled:
            raise
        except BaseException as failure:  # raised by `sent`
            place.failure = failure

    def sent(self, reference: Reference) -> Container[Digest]:
        """The blobs that were brought to the repository of a reference.

        Raises:
            What the repository, or the store, said to one that could not be.
        """
        place = self._place(reference)
        if place.failure is not None:
            raise place.failure
        return place.sent

    def lacks_image(self, reference: Reference) -> bool:
        """Whether the repository of a reference cannot have the image, since it lacked a layer. True once: whoever asks
        brings it there.
        """
        place = self._place(reference)
        lacked, place.lacked = place.lacked, False
        return lacked

    def _place(self, reference: Reference) -> _Place:
        with self._lock:
            place = self._places.get(reference.name)
            if place is None:
                repository = self._services.client.repository(reference, mount_from=self._sources(reference))
                place = self._places[reference.name] = _Place(reference, repository)
            return place

    def _sources(self, reference: Reference) -> MountFrom:
        from pyoci.api.transfer import known_places

        known = known_places(reference, self._services)

        def sources(blob: Descriptor) -> Sequence[str]:
            with self._lock:
                others = [place for place in self._places.values() if blob.digest in place.sent]
            own = [one.reference.repository for one in others if one.reference.registry == reference.registry]
            return [*own, *known(blob)]

        return sources


class EarlyPush:
    """The layers of one build on their way. Implements the builder's `LayerListener`."""

    def __init__(
        self,
        outputs: Sequence[ImageOutput],
        services: Services,
        places: Places,
        may_leave: Callable[[Layer, Stacked], bool],
        make_layer: Callable[[SnapshotID], Layer],
        permitted: Callable[[], None],
    ) -> None:
        self._outputs = outputs
        self._services = services
        self._places = places
        self._may_leave = may_leave
        self._make_layer = make_layer
        self._permitted = permitted
        self._stop = Stop(services.cancelled)
        self._told: set[Stacked] = set()
        self._held: list[tuple[Stacked, bool]] | None = []
        """What is in an image that has not changed so far; and whether it is of the base."""
        self._lookers = Crew(self._look_at, jobs=_LOOKERS, name="early look")
        self._senders = Crew(self._send, jobs=_SENDERS, name="early push")

    def image_changes(self) -> None:
        held, self._held = self._held, None
        for item in held or ():
            self._lookers.give(item)

    def stack_grows(self, element: Stacked, *, is_base: bool) -> None:
        if not self._outputs or element in self._told:
            return
        self._told.add(element)
        if self._held is None:
            self._lookers.give((element, is_base))
        else:
            self._held.append((element, is_base))

    def _look_at(self, item: tuple[Stacked, bool]) -> None:
        try:
            blobs = self._blobs(*item)
        except BaseException:  # whoever makes the image meets it too, and says so
            self._stop.set()
            return
        if blobs:
            self._senders.give(blobs)

    def _send(self, blobs: Sequence[tuple[ImageOutput, Descriptor]]) -> None:
        try:
            self._permitted()
            for output, blob in blobs:
                self._places.send(blob, output.names, self._stop)
        except BaseException:  # Cancelled, or what the push meets too
            self._stop.set()

    def _blobs(self, element: Stacked, is_base: bool) -> list[tuple[ImageOutput, Descriptor]]:
        """The blobs to send, and the outputs that they are in; none if the layer must not leave."""
        from pyoci.build.forms import layer_in_form

        self._stop.check()
        store, content = self._services.store, self._services.resolver.content
        layer = element if isinstance(element, Layer) else self._make_layer(element)
        if not store.has(layer.descriptor):
            return []  # of a base, or of a cache elsewhere: the push mounts it or, at last, downloads it
        if is_base:
            return [(output, layer.descriptor) for output in self._outputs if not output.form.force]
        if not self._may_leave(layer, element):
            self._stop.set()
            return []
        return [(output, layer_in_form(layer, output.form, store, content).descriptor) for output in self._outputs]

    def settle(self) -> None:
        """Returns when no layer is being made, searched or compressed any more, so that nobody does the same again."""
        self._lookers.wait()

    def sent(self, reference: Reference) -> Container[Digest]:
        """The blobs that are in the repository of a reference, when all that are on their way have arrived.

        Raises:
            RegistryError and others: one could not be sent.
        """
        self._wait_until_sent()
        return self._places.sent(reference) if self._senders.used else ()

    def lacks_image(self, reference: Reference) -> bool:
        """Whether the repository of a reference is known not to have the image yet; asked before it is pushed there."""
        self._wait_until_sent()
        return self._senders.used and self._places.lacks_image(reference)

    def _wait_until_sent(self) -> None:
        self._lookers.wait()
        self._senders.wait()

    def close(self) -> None:
        """Ends what is under way."""
        self._stop.set()
        self._lookers.close(_GRACE_SECONDS)
        self._senders.close(_GRACE_SECONDS)


@contextmanager
def early_push(
    parts: Prepared,
    plans: Iterable[Plan],
    services: Services,
    places: Places,
    search: LeakSearch,
    permitted: Callable[[], None] = lambda: None,
) -> Iterator[EarlyPush]:
    """Sends layers of the images of `parts` to where they are pushed, as long as the block runs. `plans` are all that
    the command carries out; `permitted` is asked before anything is sent, and raises if that is not allowed.

    Raises:
        UsageError: a rule of preflight that is to be skipped does not exist.
    """
    from pyoci.api.preflight import looks_for_leaks

    request = parts.request
    outputs = () if request.squash else pushed_outputs(request)  # squashing makes other layers of them
    bases = [layer for plan in plans for vertex in plan.graph.vertices.values() for layer in _layers(vertex.step)]
    is_searched = bool(outputs) and looks_for_leaks(request, parts.dockerfile.check)

    def may_leave(layer: Layer, files: Stacked) -> bool:
        if is_searched:
            search.expect_credentials(bases)
        return not is_searched or search.is_clean(layer, files)

    def make_layer(snapshot: SnapshotID) -> Layer:
        with places.alone_with(snapshot):
            return layer_of_snapshot(snapshot, services.store, services.snapshotter, epoch=parts.epoch)

    push = EarlyPush(outputs, services, places, may_leave, make_layer, permitted)
    try:
        yield push
    except BaseException:
        services.cancelled.set()
        raise
    finally:
        push.close()


def _layers(step: Step) -> tuple[Layer, ...]:
    return step.layers if isinstance(step, ImageStep) else ()
