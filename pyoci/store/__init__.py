"""The content store: the single source of truth that builds, exporters, pushes and the garbage collector start from.

On disk it is an OCI image layout (`oci-layout`, `index.json`, `blobs/`), so that other tools can read it, with pyoci's
own folders beside: `records/` (build cache), `indexes/` (what is in a layer), `origins/` (where a blob can be fetched
again), `unpacked/` and `snapshots/` (root file systems of RUN), `mounts/` (cache mounts), `fetched/` (what URLs gave
last), `git/` (repositories and checkouts), `kept/` (manifests that were pushed by digest), `tmp/`. Every file appears
under its final name when it is complete. Every process that uses the store holds a shared lock; collecting garbage
takes it alone.

Spec: image-spec image-layout.md.
"""

from pyoci.store.store import BlobWriter, Store
from pyoci.store.tags import Tags

__all__ = ["BlobWriter", "Store", "Tags"]
