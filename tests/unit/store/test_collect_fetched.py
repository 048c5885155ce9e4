"""Collecting what was fetched: kept as long as it is remembered, gone with everything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyoci.digest import sha256_digest
from pyoci.image import Descriptor
from pyoci.store import Store
from pyoci.store.collect import prune


def remove_trees(paths: Sequence[Path]) -> None:
    for path in paths:
        shutil.rmtree(path)


@pytest.mark.parametrize("everything", [False, True])
def test_downloads_and_checkouts(tmp_path: Path, everything: bool) -> None:
    with Store(tmp_path) as store:
        for data in (b"remembered", b"forgotten"):
            with store.new_blob() as blob:
                blob.stream.write(data)
                blob.commit(Descriptor("application/octet-stream", sha256_digest(data), len(data)))
        store.write_file("fetched", "http-1", json.dumps({"digest": sha256_digest(b"remembered")}).encode())
        store.write_file("fetched", "http-2", b"damaged")
        (store.root / "git/checkouts/1/tree").mkdir(parents=True)
        (store.root / "git/checkouts/1/tree/file").write_text("x")
        prune(store, remove_trees, everything=everything)
        assert not store.blob_path(sha256_digest(b"forgotten")).exists()
        kept = [
            store.blob_path(sha256_digest(b"remembered")).exists(),
            (store.root / "fetched/http-1").exists(),
            (store.root / "git/checkouts/1/tree/file").exists(),
        ]
        assert kept == [not everything] * 3
