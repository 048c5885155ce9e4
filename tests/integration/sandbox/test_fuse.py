"""Layers stacked by fuse-overlayfs, for kernels that do not stack them in a user namespace."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from pyoci.sandbox.namespace_sandbox import NamespaceSandbox
from pyoci.sandbox.protocols import FileMount, OverlayRoot
from tests.integration.accounts import SBIN
from tests.integration.sandbox.conftest import Worlds

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

FUSE = shutil.which("fuse-overlayfs", path=SBIN)


@pytest.mark.skipif(FUSE is None, reason="fuse-overlayfs is not installed")
def test_a_step_on_fuse_overlayfs(busybox_worlds: Worlds) -> None:
    assert FUSE is not None
    world = busybox_worlds("root")
    world = dataclasses.replace(world, sandbox=NamespaceSandbox(world.worker, fuse_overlayfs=FUSE))
    fresh = world.fresh(world.layer({"opt/a": b"a", "opt/b": b"b"}))
    assert isinstance(fresh, OverlayRoot)
    root = dataclasses.replace(fresh, driver="fuse")
    secret = FileMount("/run/secrets/x", b"S3CRET")
    script = "mount | grep -c 'fuse'; cat /opt/a /run/secrets/x; rm /opt/b; echo new >/opt/c; chown 5:6 /opt/c; ls /opt"
    result = world.run(script, [secret], root=root)
    assert result.output == "1\naS3CRETa\nc\n"
    changes = world.changes(root)
    assert changes["opt/b"].kind == "whiteout"
    assert changes["opt/c"].owner == (5, 6)
    assert "run/secrets" not in changes
