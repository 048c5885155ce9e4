"""What steps leave in the store can be removed again, whoever owns it there and whatever its modes."""

from __future__ import annotations

import pytest

from tests.conformance.base_image import write_base_layout
from tests.integration.accounts import Installation, root_account, temporary_account

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

DOCKERFILE = """FROM base
RUN mkdir -p /d/e && echo x >/d/e/f && chown -R 33:33 /d && chmod 0 /d/e/f /d/e /d && mkdir -m 0 /mine
RUN rm -r /etc/passwd && mkdir -m 500 /etc/passwd && mkdir /etc/passwd/inside && chown 33 /etc/passwd
"""


@pytest.mark.parametrize("kind", ["root", "subuid", "single"])
def test_everything_can_be_removed(pyoci: Installation, kind: str) -> None:
    with root_account() if kind == "root" else temporary_account(subordinate_ids=kind == "subuid") as account:
        write_base_layout(account.home / "base")
        (account.home / "Dockerfile").write_text(DOCKERFILE)
        base = f"base=oci-layout://{account.home}/base:latest"
        built = pyoci.run(account, "build", "--build-context", base, "-t", "test:1", ".")
        assert built.returncode == 0, built.stderr
        store = account.home / "store"
        kept = {path.name for path in (store / "snapshots").iterdir()}
        assert {name.partition("-")[0] for name in kept} == {kind}
        assert len(kept) == 2
        for command in (["rmi", "test:1"], ["prune", "--all"]):
            done = pyoci.run(account, *command)
            assert done.returncode == 0, done.stderr
        for directory in ("snapshots", f"unpacked/{kind}", "blobs/sha256"):
            assert list((store / directory).iterdir()) == [], directory
