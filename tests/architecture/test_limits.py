"""What users set under [limits] counts wherever documents are read: no call forgets to say what it is."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import Module, modules

LIMITED = {
    *("read_document", "read_graph", "copy_graph", "find_referrers", "referrers_among", "read_docker_manifest"),
    *("select_manifest", "read_image", "collect", "write_oci_layout", "write_oci_archive", "write_docker_archive"),
    *("DirectoryLayout", "NamedPush"),
}


@pytest.mark.parametrize("module", modules(), ids=str)
def test_whoever_reads_documents_says_how_large_they_may_be(module: Module) -> None:
    forgotten = [
        f"{module.name}:{call.lineno}: {call.func.id}"
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in LIMITED
        if not any(keyword.arg == "limits" for keyword in call.keywords)
    ]
    assert forgotten == []


def test_these_functions_are_called_at_all() -> None:
    called = {
        call.func.id
        for module in modules()
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    assert called >= LIMITED
