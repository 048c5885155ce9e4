"""The examples of buildx's bake reference with the output that it shows for them (docs/bake-reference.md)."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.bake.render import render_json
from pyoci.errors import BakeError
from tests.unit.bake.files import printed

PLAIN = {"context": ".", "dockerfile": "Dockerfile"}


def targets(printed: Any) -> dict[str, Any]:
    return dict(printed["target"])


def test_an_empty_target() -> None:
    assert printed('target "default" {}')["target"] == {"default": PLAIN}


def test_inherits_the_last_one_wins() -> None:
    text = """
        target "app-dev" {
          args = {
            GO_VERSION = "1.20"
            BUILDX_EXPERIMENTAL = 1
          }
          tags = ["docker.io/username/myapp"]
          dockerfile = "app.Dockerfile"
          labels = {
            "org.opencontainers.image.source" = "https://github.com/username/myapp"
          }
        }
        target "_release" {
          args = {
            BUILDKIT_CONTEXT_KEEP_GIT_DIR = 1
            BUILDX_EXPERIMENTAL = 0
          }
        }
        target "app-release" {
          inherits = ["app-dev", "_release"]
          platforms = ["linux/amd64", "linux/arm64"]
        }
    """
    assert printed(text, "app-release") == {
        "group": {"default": {"targets": ["app-release"]}},
        "target": {
            "app-release": {
                "context": ".",
                "dockerfile": "app.Dockerfile",
                "args": {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1", "BUILDX_EXPERIMENTAL": "0", "GO_VERSION": "1.20"},
                "labels": {"org.opencontainers.image.source": "https://github.com/username/myapp"},
                "tags": ["docker.io/username/myapp"],
                "platforms": ["linux/amd64", "linux/arm64"],
            }
        },
    }


def test_a_matrix() -> None:
    text = 'target "app" {\n name = "app-${tgt}"\n matrix = {\n tgt = ["foo", "bar"]\n }\n target = tgt\n}\n'
    assert printed(text, "app") == {
        "group": {"app": {"targets": ["app-foo", "app-bar"]}, "default": {"targets": ["app"]}},
        "target": {"app-bar": {**PLAIN, "target": "bar"}, "app-foo": {**PLAIN, "target": "foo"}},
    }


def test_a_matrix_of_two_axes() -> None:
    text = """
        target "app" {
          name = "app-${tgt}-${replace(version, ".", "-")}"
          matrix = {
            tgt = ["foo", "bar"]
            version = ["1.0", "2.0"]
          }
          target = tgt
          args = { VERSION = version }
        }
    """
    shown = printed(text, "app")
    assert shown["group"]["app"]["targets"] == ["app-foo-1-0", "app-foo-2-0", "app-bar-1-0", "app-bar-2-0"]
    assert shown["target"]["app-bar-2-0"] == {**PLAIN, "target": "bar", "args": {"VERSION": "2.0"}}


def test_a_group_comes_before_a_target_of_its_name() -> None:
    text = """
        target "default" { dockerfile-inline = "FROM ubuntu" }
        group "default" { targets = ["alpine", "debian"] }
        target "alpine" { dockerfile-inline = "FROM alpine" }
        target "debian" { dockerfile-inline = "FROM debian" }
    """
    assert sorted(printed(text)["target"]) == ["alpine", "debian"]


def test_json_is_the_same_language() -> None:
    text = """{
      "variable": {"TAG": {"default": "latest"}},
      "group": {"default": {"targets": ["webapp"]}},
      "target": {"webapp": {"dockerfile": "Dockerfile", "tags": ["docker.io/username/webapp:${TAG}"]}}
    }"""
    assert printed(text, name="docker-bake.json", variables={"TAG": "dev"})["target"] == {
        "webapp": {**PLAIN, "tags": ["docker.io/username/webapp:dev"]}
    }


def test_nested_groups_and_patterns() -> None:
    text = """
        group "all" { targets = ["some", "c-1"] }
        group "some" { targets = ["a", "b"] }
        target "a" {}
        target "b" {}
        target "c-1" {}
        target "c-2" {}
    """
    assert sorted(printed(text, "all")["target"]) == ["a", "b", "c-1"]
    assert sorted(printed(text, "c-*")["target"]) == ["c-1", "c-2"]
    with pytest.raises(BakeError, match='no target matches "d-\\*"'):
        printed(text, "d-*")


def test_entries_are_objects() -> None:
    text = """
        target "default" {
          output = ["type=local,dest=out", "type=image,push=true", "dir"]
          cache-from = ["user/app:cache", "type=gha"]
          cache-to = [{ type = "inline" }]
          secret = ["type=env,id=KUBECONFIG", "type=file,id=aws,src=/x", { id = "y", env = "Z" }]
          ssh = ["default", "key=/a,/b"]
          attest = ["type=provenance,mode=min"]
        }
    """
    assert printed(text)["target"]["default"] == {
        **PLAIN,
        "attest": [{"mode": "min", "type": "provenance"}],
        "cache-from": [{"ref": "user/app:cache", "type": "registry"}, {"type": "gha"}],
        "cache-to": [{"type": "inline"}],
        "secret": [{"id": "KUBECONFIG"}, {"id": "aws", "src": "/x"}, {"id": "y", "env": "Z"}],
        "ssh": [{"id": "default"}, {"id": "key", "paths": ["/a", "/b"]}],
        "output": [
            {"dest": "out", "type": "local"},
            {"push": "true", "type": "image"},
            {"dest": "dir", "type": "local"},
        ],
    }


def test_null_leaves_the_value_to_the_dockerfile() -> None:
    text = (
        'target "base" {\n args = { A = "1" }\n}\ntarget "default" {\n inherits = ["base"]\n args = { A = null }\n}\n'
    )
    assert printed(text)["target"]["default"]["args"] == {"A": "1"}


def test_what_is_appended_and_what_replaced_when_inheriting() -> None:
    text = """
        target "base" {
          tags = ["a"]
          platforms = ["linux/amd64"]
          annotations = ["x=1"]
          no-cache-filter = ["s"]
          cache-from = ["one"]
          labels = { a = "1", b = "1" }
          no-cache = true
        }
        target "default" {
          inherits = ["base"]
          tags = ["b", "b"]
          annotations = ["y=2"]
          no-cache-filter = ["t", "s"]
          cache-from = ["two"]
          labels = { b = "2" }
        }
    """
    found = printed(text)["target"]["default"]
    assert found["tags"] == ["b"]
    assert found["platforms"] == ["linux/amd64"]
    assert found["annotations"] == ["x=1", "y=2"]
    assert found["no-cache-filter"] == ["s", "t"]
    assert [one["ref"] for one in found["cache-from"]] == ["one", "two"]
    assert found["labels"] == {"a": "1", "b": "2"}
    assert found["no-cache"] is True


def test_a_linked_target_is_built_too_and_its_entitlements_are_needed() -> None:
    text = """
        target "base" { entitlements = ["security.insecure"] }
        target "default" { contexts = { x = "target:base" } }
    """
    found = printed(text)["target"]
    assert found["base"]["output"] == [{"type": "cacheonly"}]
    assert found["default"]["entitlements"] == ["security.insecure"]


def test_the_network_of_the_host_is_an_entitlement() -> None:
    assert printed('target "default" { network = "host" }')["target"]["default"]["entitlements"] == ["network.host"]


def test_what_a_template_would_take_is_escaped_again() -> None:
    text = 'target "default" { dockerfile-inline = "FROM x\\nRUN echo $${A} <b>" }'
    assert printed(text)["target"]["default"]["dockerfile-inline"] == "FROM x\nRUN echo $${A} <b>"
    assert render_json({"a": "<&>"}) == '{\n  "a": "\\u003c\\u0026\\u003e"\n}'
