"""`--set`, and files over files."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.errors import BakeError, UsageError
from tests.unit.bake.files import printed

TEXT = """
    target "app" {
      tags = ["a"]
      args = { V = "1" }
      output = ["type=docker"]
    }
    target "app-two" {}
    group "default" { targets = ["app", "app-two"] }
"""


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("app.context=dir", "context", "dir"),
        ("app.dockerfile=D", "dockerfile", "D"),
        ("app.args.V=2", "args", {"V": "2"}),
        ("app.args.W=a=b", "args", {"V": "1", "W": "a=b"}),
        ("app.args.FROM_ENV", "args", {"V": "1", "FROM_ENV": "e"}),
        ("app.args.UNSET", "args", {"V": "1"}),
        ("app.contexts.x=dir", "contexts", {"x": "dir"}),
        ("app.labels.a.b=c", "labels", {"a.b": "c"}),
        ("app.tags=b", "tags", ["b"]),
        ("app.tags+=b", "tags", ["a", "b"]),
        ("*.platform=linux/arm64", "platforms", ["linux/arm64"]),
        ("app*.no-cache=true", "no-cache", True),
        ("app.pull=1", "pull", True),
        ("app.target=stage", "target", "stage"),
        ("app.output=type=registry", "output", [{"type": "registry"}]),
        ("app.output+=out", "output", [{"type": "docker"}, {"type": "local", "dest": "out"}]),
        ("app.secrets=id=x,src=y", "secret", [{"id": "x", "src": "y"}]),
        ("app.ssh=default", "ssh", [{"id": "default"}]),
        ("app.cache-from=user/x", "cache-from", [{"type": "registry", "ref": "user/x"}]),
        ("app.network=none", "network", "none"),
        ("app.shm-size=1g", "shm-size", "1g"),
        ("app.ulimits=nofile=1:2", "ulimits", ["nofile=1:2"]),
        ("app.call=check", "call", "check"),
        ("app.extra-hosts.h=1.2.3.4", "extra-hosts", {"h": "1.2.3.4"}),
        ("app.annotations=a=b", "annotations", ["a=b"]),
        ("app.entitlements=network.host", "entitlements", ["network.host"]),
        ("app.push=true", "output", [{"type": "docker"}, {"type": "image", "push": "true"}]),
        ("app.load=true", "output", [{"type": "docker"}]),
    ],
)
def test_an_override(override: str, key: str, value: Any) -> None:
    assert printed(TEXT, overrides=[override], variables={"FROM_ENV": "e"})["target"]["app"][key] == value


def test_several_values_of_a_list_add_up() -> None:
    assert printed(TEXT, overrides=["app.tags=x", "app.tags=y"])["target"]["app"]["tags"] == ["x", "y"]


def test_push_makes_an_image_push_and_takes_registries_away() -> None:
    text = 'target "default" { output = ["type=image,name=x", "type=registry"] }'
    assert printed(text, overrides=["*.push=true"])["target"]["default"]["output"][0]["push"] == "true"
    assert printed(text, overrides=["*.push=false"])["target"]["default"]["output"] == [
        {"type": "image", "name": "x", "push": "false"}
    ]


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("app", 'invalid value "app" for --set', "write --set TARGET.KEY=VALUE"),
        ("app.tags", 'invalid value "app.tags" for --set', "write --set TARGET.KEY=VALUE"),
        ("app.args=x", 'invalid value "app.args=x" for --set', "write --set app.args.NAME=VALUE"),
        ("app.tag=x", 'unknown key "tag" in --set "app.tag=x"', 'did you mean "tags"?'),
        ("app.pull=maybe", 'invalid value "app.pull=maybe" for --set: "maybe" is neither true nor false', None),
    ],
)
def test_a_malformed_override(override: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        printed(TEXT, overrides=[override])
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_override_of_nothing() -> None:
    with pytest.raises(BakeError, match='no target matches "web" of --set'):
        printed(TEXT, overrides=["web.tags=x"])


def test_a_later_file_overrides_an_earlier_one() -> None:
    files = {
        "compose.yaml": "services:\n  web:\n    image: web:1\n    build:\n      context: src\n      args: {A: x}\n",
        "docker-bake.json": '{"target": {"web": {"args": {"B": "y"}}}}',
        "docker-bake.hcl": 'target "web" {\n args = { A = "z" }\n}\n',
        "docker-bake.override.hcl": 'target "web" {\n tags = ["web:2"]\n}\n',
    }
    assert printed(files)["target"]["web"] == {
        "context": "src",
        "dockerfile": "Dockerfile",
        "args": {"A": "z", "B": "y"},
        "tags": ["web:2"],
    }
