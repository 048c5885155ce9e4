"""The conformance suite of distribution-spec, all four workflows, against `pyoci serve`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.registry.command_line import CommandLine
from tests.integration.serve.world import GoModule, go_program, serve_process

pytestmark = pytest.mark.needs_go

SUITE = GoModule("github.com/opencontainers/distribution-spec/conformance", "v0.0.0-20260831232431-97274622c111")
WORKFLOWS = {
    "pull": ("blob-get", "blob-head", "manifest-by-digest", "manifest-by-tag", "manifest-head", "range"),
    "push": (
        "blob-post-only",
        "blob-post-put",
        "blob-patch-chunked",
        "blob-patch-stream",
        "blob-mount",
        "manifest-put",
    ),
    "content discovery": ("tag-list", "referrers"),
    "content management": ("tag-delete", "manifest-delete", "blob-delete"),
}
"""Parts of the names of the suite's tests, by the workflow of the specification."""


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "with a password"])
def test_the_suite_finds_nothing_amiss(
    tmp_path: Path, base_cache: Path, guarded: bool, record_property: object
) -> None:
    suite = go_program(base_cache, SUITE)
    flags = ["--user", "joe", "--password-stdin"] if guarded else []
    credentials = {"OCI_USERNAME": "joe", "OCI_PASSWORD": "hunter2"} if guarded else {}
    with serve_process(CommandLine(tmp_path), "--write", "--delete", *flags, stdin="hunter2\n") as server:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "OCI_REGISTRY": server.address,
            "OCI_TLS": "disabled",
            "OCI_RESULTS_DIR": str(tmp_path / "results"),
            "OCI_API_BLOBS_DIGEST_HEADER": "true",
            "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
            "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
            **credentials,
        }
        done = subprocess.run(
            [suite], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    results = re.findall(r"^ *(OCI Conformance Test.*): (\w+)$", done.stdout, re.MULTILINE)
    assert [name for name, status in results if status != "Pass"] == []
    assert len(results) > 200, done.stdout
    for parts in WORKFLOWS.values():
        for part in parts:
            assert any(part in name for name, _ in results), f"the suite has no test of {part}"
    index = json.loads((tmp_path / "store" / "index.json").read_bytes())
    assert index["manifests"] == []  # the suite deletes what it pushed
    if callable(record_property):
        record_property("measured", f"{len(results)} tests of the conformance suite pass")
