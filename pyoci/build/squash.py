"""`--squash`: the layers of a build joined to one, over those of the base, as docker's classic builder does it.

What a later step removed or replaced is in no layer then. The steps stay in the history, none of them with a layer of
its own; one more entry stands for the layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyoci.build.builder import Built
from pyoci.build.cache_key import structural_digest
from pyoci.build.layers import decode_layer, encode_layer
from pyoci.build.trees import Trees
from pyoci.digest import digest_hex
from pyoci.image import History, Image, Layer, encode_config, encode_manifest
from pyoci.layer.entry import Change, Entry, Remove, Upsert
from pyoci.layer.tree import Tree, flatten
from pyoci.layer.writer import write_layer
from pyoci.store import Store
from pyoci.values import replace

__all__ = ["squashed"]


def squashed(built: Built, trees: Trees, store: Store, *, epoch: int) -> Built:
    """The same image with a single layer of its own; itself where it has no more than that.

    Raises:
        LayerError, ContentError, RegistryError: a layer cannot be read or written.
    """
    image, below = built.image, built.base_layers
    own = image.layers[below:]
    if len(own) < 2:
        return built
    layer = _joined(built, trees, store, epoch)
    stack = (*built.filesystem.stack[:below], layer)
    config = image.config.value
    history = (
        *_without_layers(config.history, below),
        History(created=config.created, comment=f"squashed {len(own)} layers"),
    )
    document = encode_config(
        replace(config, diff_ids=(*config.diff_ids[:below], layer.diff_id), history=history),
        media_type=image.config.media_type,
    )
    layers = (*image.manifest.value.layers[:below], layer.descriptor)
    manifest = encode_manifest(replace(image.manifest.value, config=document.descriptor(), layers=layers))
    store.put_document(document)
    store.put_document(manifest)
    filesystem = replace(built.filesystem, stack=stack)
    return replace(built, image=Image.of(manifest, document), filesystem=filesystem)


def _without_layers(history: Iterable[History], below: int) -> Iterator[History]:
    """The entries, of which only those of the base's layers have one."""
    described = 0
    for entry in history:
        described += not entry.empty_layer
        yield entry if described <= below else replace(entry, empty_layer=True)


def _joined(built: Built, trees: Trees, store: Store, epoch: int) -> Layer:
    """The one layer; made now or found from an earlier time."""
    diff_ids = list(built.image.config.value.diff_ids)
    name = digest_hex(structural_digest(["squashed", diff_ids, built.base_layers, epoch]))
    known = store.read_file("records", name)
    if known is not None:
        found = decode_layer(known)
        if found is not None and store.has(found.descriptor):
            return found
    stack = built.filesystem.stack
    whole, base = trees.of_stack(stack), trees.of_stack(stack[: built.base_layers])
    added = list(_added(whole, built.base_layers))
    changes: list[Change] = [*(Upsert(entry) for entry in added), *_removed(whole, base)]
    with (
        store.new_blob() as blob,
        whole.one_pass([entry for entry in added if entry.type == "file"], store.root / "tmp") as open_content,
    ):
        written = write_layer(changes, open_content, blob.stream, compression="gzip", mtime_limit=epoch)
        blob.commit(written.descriptor)
    store.write_file("records", name, encode_layer(written.layer))
    return written.layer


def _added(whole: Tree, below: int) -> Iterator[Entry]:
    """Everything in the tree that a layer above the base put there; the root itself too, if one did."""
    root = whole.lookup_nofollow("")
    if root is not None and whole.layers and whole.layer_of(root) >= below:
        yield root
    for change in flatten(whole):
        if isinstance(change, Upsert) and whole.layer_of(change.entry) >= below:
            yield change.entry


def _removed(whole: Tree, base: Tree) -> Iterator[Change]:
    """What the base has and the tree has not, the topmost directory for all below it."""
    gone = ""
    for entry in base.walk():
        if gone and entry.path.startswith(gone):
            continue
        if whole.lookup_nofollow(entry.path) is None:
            gone = f"{entry.path}/"
            above = whole.lookup_nofollow(entry.path.rpartition("/")[0])
            if above is not None and above.type == "dir":
                yield Remove(entry.path)
