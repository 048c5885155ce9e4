"""From names and configuration to endpoints: docker's rules for hosts, containers-registries.conf(5)'s for prefixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.errors import UsageError
from pyoci.reference import Reference, parse_reference
from pyoci.registry.hosts import HostsConfig, HostSettings, Mirror, Rule, Tls

DIGEST = "@sha256:" + "a" * 64


def places(config: HostsConfig, name: str, *, push: bool = False) -> list[str]:
    return [f"{one.host}/{one.repository}" for one in config.endpoints(parse_reference(name), push=push)]


def test_docker_io_is_spoken_to_at_its_api_host() -> None:
    (endpoint,) = HostsConfig().endpoints(parse_reference("alpine"))
    assert (endpoint.registry, endpoint.host, endpoint.repository) == (
        "docker.io",
        "registry-1.docker.io",
        "library/alpine",
    )
    assert endpoint.schemes == ("https",)
    assert endpoint.tls == Tls()


@pytest.mark.parametrize("host", ["localhost:5000", "localhost", "127.0.0.1:5000", "127.3.4.5", "[::1]:5000"])
def test_loopback_is_as_docker_treats_it(host: str) -> None:
    """Docker's daemon documentation: registries in 127.0.0.0/8 are insecure by default: HTTPS unverified, then HTTP."""
    (endpoint,) = HostsConfig().endpoints(Reference(host, "app", "1"))
    assert endpoint.schemes == ("https", "http")
    assert not endpoint.tls.verify


def test_loopback_with_a_ca_of_its_own_is_verified(tmp_path: Path) -> None:
    folder = tmp_path / "localhost:5000"
    folder.mkdir()
    (folder / "ca.crt").write_text("")
    for config in (
        HostsConfig(certs_dirs=(tmp_path,)),
        HostsConfig(hosts={"localhost:5000": HostSettings(ca_files=(folder / "ca.crt",))}),
    ):
        (endpoint,) = config.endpoints(Reference("localhost:5000", "app", "1"))
        assert endpoint.schemes == ("https",)
        assert endpoint.tls == Tls(ca_files=(folder / "ca.crt",))


@pytest.mark.parametrize(
    ("settings", "schemes", "verify"),
    [
        (HostSettings(), ("https",), True),
        (HostSettings(insecure=True), ("https", "http"), False),
        (HostSettings(plain_http=True), ("http",), True),
        (HostSettings(plain_http=True, insecure=True), ("http",), False),
    ],
)
def test_plain_http_is_spoken_only_when_asked(settings: HostSettings, schemes: tuple[str, ...], verify: bool) -> None:
    config = HostsConfig(hosts={"registry.example:5000": settings})
    (endpoint,) = config.endpoints(parse_reference("registry.example:5000/app"))
    assert (endpoint.schemes, endpoint.tls.verify) == (schemes, verify)
    (other,) = config.endpoints(parse_reference("registry.example/app"))
    assert (other.schemes, other.tls.verify) == (("https",), True)


def test_the_flag_adds_to_what_is_configured() -> None:
    config = HostsConfig(hosts={"r.example": HostSettings(chunk_bytes=7)}).with_insecure(["r.example", "s.example"])
    assert config.hosts == {
        "r.example": HostSettings(insecure=True, chunk_bytes=7),
        "s.example": HostSettings(insecure=True),
    }


def test_settings_of_docker_io_hold_for_its_api_host() -> None:
    config = HostsConfig(hosts={"docker.io": HostSettings(insecure=True, chunk_bytes=9)})
    (endpoint,) = config.endpoints(parse_reference("alpine"))
    assert endpoint.schemes == ("https", "http")
    assert endpoint.chunk_bytes == 9


def test_mirrors_come_first_and_take_no_pushes() -> None:
    rule = Rule("docker.io", mirrors=(Mirror("mirror.example:5000/hub"), Mirror("second.example")))
    config = HostsConfig(rules=(rule,))
    assert places(config, "alpine:3") == [
        "mirror.example:5000/hub/library/alpine",
        "second.example/library/alpine",
        "registry-1.docker.io/library/alpine",
    ]
    assert [one.mirror for one in config.endpoints(parse_reference("alpine"))] == [True, True, False]
    assert places(config, "alpine:3", push=True) == ["registry-1.docker.io/library/alpine"]
    assert places(config, "quay.example/a") == ["quay.example/a"]


def test_without_fallback_only_mirrors_are_asked() -> None:
    rule = Rule("docker.io", mirrors=(Mirror("mirror.example/hub"),), fallback=False)
    assert places(HostsConfig(rules=(rule,)), "alpine") == ["mirror.example/hub/library/alpine"]


def test_mirrors_may_be_for_digests_or_for_tags() -> None:
    mirrors = (Mirror("d.example", use="digest-only"), Mirror("t.example", use="tag-only"))
    config = HostsConfig(rules=(Rule("r.example", mirrors=mirrors, fallback=False),))
    assert places(config, "r.example/app:1") == ["t.example/app"]
    assert places(config, f"r.example/app{DIGEST}") == ["d.example/app"]
    only_digests = HostsConfig(rules=(Rule("r.example", mirrors=mirrors[:1], fallback=False),))
    with pytest.raises(UsageError, match=r"^r\.example/app has no mirror for this kind of pull and no fallback$"):
        places(only_digests, "r.example/app:1")


@pytest.mark.parametrize(
    ("prefix", "location", "name", "place"),
    [
        # containers-registries.conf(5), "Remapping and mirroring registries": its own examples
        ("example.com/foo", "internal-registry-for-example.com/bar", "example.com/foo/myimage:latest", "bar/myimage"),
        ("example.com", "example.com/eu", "example.com/foo/myimage:latest", "eu/foo/myimage"),
        ("*.example.com", "proxy.example", "a.example.com/foo/app:1", "foo/app"),
        ("*.example.com", "proxy.example/deep", "a.b.example.com:5000/app:1", "deep/app"),
    ],
)
def test_names_are_moved_by_prefix(prefix: str, location: str, name: str, place: str) -> None:
    host = location.partition("/")[0]
    config = HostsConfig(rules=(Rule(prefix, location),))
    assert places(config, name) == places(config, name, push=True) == [f"{host}/{place}"]


@pytest.mark.parametrize("name", ["example.comx/foo:1", "sub.example.com/foo:1", "example.com:5000/foo:1"])
def test_a_prefix_ends_where_a_part_of_the_name_ends(name: str) -> None:
    config = HostsConfig(rules=(Rule("example.com", "elsewhere.example"),))
    assert not places(config, name)[0].startswith("elsewhere")


def test_the_longest_prefix_decides_and_of_equal_ones_the_first() -> None:
    rules = (
        Rule("r.example", "short.example"),
        Rule("r.example/team", "long.example"),
        Rule("r.example", "late.example"),
    )
    config = HostsConfig(rules=rules)
    assert places(config, "r.example/team/app") == ["long.example/app"]
    assert places(config, "r.example/other/app") == ["short.example/other/app"]


def test_a_location_of_docker_io_keeps_its_library() -> None:
    config = HostsConfig(rules=(Rule("r.example", "docker.io"),))
    (endpoint,) = config.endpoints(parse_reference("r.example/alpine"))
    assert (endpoint.registry, endpoint.host, endpoint.repository) == (
        "docker.io",
        "registry-1.docker.io",
        "library/alpine",
    )


def test_a_blocked_name_is_an_error_that_says_where_from() -> None:
    with pytest.raises(UsageError, match=r"^bad\.example/app is blocked by the configuration$") as caught:
        HostsConfig(rules=(Rule("bad.example", blocked=True),)).endpoints(parse_reference("bad.example/app"))
    assert caught.value.hint == 'the rule for "bad.example" in config.toml or registries.conf says so'


def test_insecurity_of_a_rule_and_of_a_mirror_is_their_own() -> None:
    rule = Rule("r.example", mirrors=(Mirror("m.example", insecure=True), Mirror("n.example")), insecure=True)
    found = HostsConfig(rules=(rule,)).endpoints(parse_reference("r.example/app"))
    assert [one.tls.verify for one in found] == [False, True, False]
    assert [one.schemes for one in found] == [("https", "http"), ("https",), ("https", "http")]


def test_certificates_are_found_in_the_layout_of_docker_and_podman(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for name in (
        "a/r.example:5000/x.crt",
        "a/r.example:5000/c.cert",
        "a/r.example:5000/c.key",
        "b/r.example:5000/y.crt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a/r.example:5000/notes.txt").write_text("")
    config = HostsConfig(certs_dirs=(first, second), ca_files=(Path("/ca.pem"),))
    (endpoint,) = config.endpoints(parse_reference("r.example:5000/app"))
    folder = first / "r.example:5000"
    assert endpoint.tls == Tls(
        ca_files=(Path("/ca.pem"), folder / "x.crt", second / "r.example:5000/y.crt"),
        client_certs=((folder / "c.cert", folder / "c.key"),),
    )
    (other,) = config.endpoints(parse_reference("r.example/app"))
    assert other.tls == Tls(ca_files=(Path("/ca.pem"),))


@pytest.mark.parametrize(
    ("present", "message"), [("c.cert", r"c\.cert has no key$"), ("c.key", r"c\.key has no certificate$")]
)
def test_half_a_client_certificate_is_an_error(present: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example" / present).write_text("")
    with pytest.raises(UsageError, match=message):
        HostsConfig(certs_dirs=(tmp_path,)).endpoints(parse_reference("r.example/app"))


def test_redirects_and_token_servers_are_trusted_by_their_own_host(tmp_path: Path) -> None:
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example" / "ca.crt").write_text("")
    config = HostsConfig(certs_dirs=(tmp_path,), hosts={"loose.example": HostSettings(insecure=True)})
    assert config.tls_of("r.example").ca_files == (tmp_path / "r.example/ca.crt",)
    assert config.tls_of("cdn.example") == Tls()
    assert not config.tls_of("loose.example").verify


def test_a_rule_may_be_for_one_image() -> None:
    """containers-registries.conf(5), "Choosing a [[registry]] TOML table": a prefix may end in a tag or digest."""
    rules = (
        Rule("r.example/app:1", blocked=True),
        Rule("r.example/app", mirrors=(Mirror("m.example/copy"),)),
        Rule(f"r.example/app{DIGEST}", mirrors=(Mirror("d.example/exact"),)),
    )
    config = HostsConfig(rules=rules)
    with pytest.raises(UsageError, match=r"^r\.example/app is blocked by the configuration$"):
        places(config, "r.example/app:1")
    assert places(config, "r.example/app:11") == ["m.example/copy", "r.example/app"]
    assert places(config, f"r.example/app{DIGEST}") == ["d.example/exact", "r.example/app"]


def test_podmans_rules_move_no_pushes() -> None:
    """containers-registries.conf(5): "Redirection and mirrors are currently processed only when reading images"."""
    rule = Rule("r.example", "moved.example", moves_pushes=False, insecure=True)
    config = HostsConfig(rules=(rule,))
    assert places(config, "r.example/app") == ["moved.example/app"]
    assert places(config, "r.example/app", push=True) == ["r.example/app"]
    (endpoint,) = config.endpoints(parse_reference("r.example/app"), push=True)
    assert endpoint.schemes == ("https", "http")
    assert places(HostsConfig(rules=(Rule("r.example", "moved.example"),)), "r.example/app", push=True) == [
        "moved.example/app"
    ]


def test_a_directory_of_certificates_for_every_registry(tmp_path: Path) -> None:
    """As podman's and skopeo's --cert-dir. Whom a registry sends on to is trusted by it, and not told who we are."""
    for name in ("ca.crt", "me.cert", "me.key"):
        (tmp_path / name).write_text("")
    mirror = Rule("r.example", mirrors=(Mirror("m.example"),))
    config = HostsConfig(rules=(mirror,), every_certs=(tmp_path,), ca_files=(Path("/flag.pem"),))
    mine = ((tmp_path / "me.cert", tmp_path / "me.key"),)
    for endpoint in config.endpoints(parse_reference("r.example/app")):
        assert endpoint.tls == Tls(ca_files=(Path("/flag.pem"), tmp_path / "ca.crt"), client_certs=mine)
    assert config.tls_of("cdn.example") == Tls(ca_files=(Path("/flag.pem"), tmp_path / "ca.crt"))
    (tmp_path / "me.key").unlink()
    with pytest.raises(UsageError, match=r"me\.cert has no key$"):
        config.endpoints(parse_reference("r.example/app"))
