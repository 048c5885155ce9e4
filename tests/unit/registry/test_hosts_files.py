"""Configuration files: ours, and podman's registries.conf as containers-registries.conf(5) describes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyoci.content.limits import ContentLimits
from pyoci.errors import UsageError
from pyoci.layer.limits import Limits
from pyoci.registry.hosts import HostsConfig, HostSettings, Mirror, Network, Rule
from pyoci.registry.hosts_files import HostFiles, host_files, load_hosts, read_config, read_registries_conf
from pyoci.registry.proxies import Proxies

HOME = Path("/home/joe")


def config_of(tmp_path: Path, text: str) -> HostsConfig:
    path = tmp_path / "config.toml"
    path.write_text(text)
    found = read_config(path, home=HOME)
    assert found is not None
    return found


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
        [network]
        ca-files = ["/etc/corp.pem", "beside.pem", "~/own.pem"]
        certs-dirs = ["/srv/certs.d"]
        connect-timeout = 3
        stall-timeout = 20.5
        commit-timeout = 600
        attempts = 2
        backoff = 0.1
        longest-wait = 5
        low-speed-limit = "2KiB"
        low-speed-time = 30

        [limits]
        unpacked-size = "1TiB"
        unpacked-ratio = 2000
        layer-entries = 5_000_000
        layer-metadata = "2GiB"
        document-size = "8MiB"
        image-size = "2TiB"
        image-pieces = 20_000
        index-depth = 9
        referrers = 5000
        referrer-depth = 10

        [registry."docker.io"]
        mirrors = ["mirror.example:5000/hub", { location = "m2.example", insecure = true, use = "digest-only" }]
        fallback = false

        [registry."r.example/team"]
        location = "internal.example/moved"
        insecure = true

        [registry."bad.example"]
        blocked = true

        [host."r.example:5000"]
        insecure = true
        plain-http = true
        ca-files = ["ca.pem"]
        client-cert = "me.cert"
        client-key = "me.key"
        chunk-size = "64MiB"

        [host."small.example"]
        chunk-size = 5242880
        """,
    )
    assert config == HostsConfig(
        hosts={
            "r.example:5000": HostSettings(
                insecure=True,
                plain_http=True,
                ca_files=(tmp_path / "ca.pem",),
                client_cert=tmp_path / "me.cert",
                client_key=tmp_path / "me.key",
                chunk_bytes=64 << 20,
            ),
            "small.example": HostSettings(chunk_bytes=5 << 20),
        },
        rules=(
            Rule(
                "docker.io",
                mirrors=(
                    Mirror("mirror.example:5000/hub"),
                    Mirror("m2.example", insecure=True, use="digest-only"),
                ),
                fallback=False,
            ),
            Rule("r.example/team", "internal.example/moved", insecure=True),
            Rule("bad.example", blocked=True),
        ),
        certs_dirs=(Path("/srv/certs.d"),),
        ca_files=(Path("/etc/corp.pem"), tmp_path / "beside.pem", HOME / "own.pem"),
        network=Network(3, 20.5, 600, 2, 0.1, 5, 2048, 30),
        limits=Limits(uncompressed_bytes=1 << 40, ratio=2000, entries=5_000_000, metadata_bytes=2 << 30),
        content_limits=ContentLimits(8 << 20, 2 << 40, 20_000, 9, 5000, 10),
    )


def test_an_empty_file_says_nothing_and_no_file_is_none(tmp_path: Path) -> None:
    assert config_of(tmp_path, "") == HostsConfig()
    assert read_config(tmp_path / "nowhere.toml", home=HOME) is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[regsitry]", '"regsitry" is not a setting', "there are: host, limits, network, registry"),
        ('[host."a"]\ninsecur = true', 'host."a"."insecur" is not a setting', "insecure"),
        ('[host."a"]\ninsecure = "yes"', 'host."a".insecure must be true or false', ""),
        ('[host."a"]\nchunk-size = "64 furlongs"', 'host."a".chunk-size must be a number of bytes', ""),
        ('[host."a"]\nchunk-size = true', 'host."a".chunk-size must be a number of bytes', ""),
        ('[host."a"]\nclient-key = "k"', 'host."a".client-key needs a client-cert', ""),
        ('[host."a"]\nca-files = "one"', 'host."a".ca-files must be an array of strings', ""),
        ("host = 3", "host must be a table", ""),
        ("[host]\na = 3", 'host."a" must be a table', ""),
        ("[limits]\ndocument-size = '32KiB'", "limits.document-size must be a size from 64KiB to 256MiB", ""),
        ("[limits]\ndocument-size = '1GiB'", "limits.document-size must be a size from 64KiB to 256MiB", ""),
        ("[limits]\nindex-depth = 0", "limits.index-depth must be a whole number of at least 1", ""),
        ("[limits]\nindex-depth = 101", "limits.index-depth must be a whole number of at most 100", ""),
        ("[limits]\nreferrer-depth = 101", "limits.referrer-depth must be a whole number of at most 100", ""),
        ("[limits]\nimage-pieces = 0", "limits.image-pieces must be a whole number of at least 1", ""),
        ("[network]\nattempts = 0", "network.attempts must be a whole number of at least 1", ""),
        ("[network]\nattempts = true", "network.attempts must be a whole number of at least 1", ""),
        ("[network]\nstall-timeout = 0", "network.stall-timeout must be a number of seconds above 0", ""),
        ("[network]\nstall-timeout = nan", "network.stall-timeout must be a number of seconds above 0", ""),
        ('[registry."a"]\nlocation = "https://b"', 'registry."a".location is "https://b", and must be a host', ""),
        ('[registry."a"]\nmirrors = ["http://b/"]', 'registry."a".mirrors is "http://b/", and must be a host', ""),
        ('[registry."a"]\nmirrors = [{use = "all"}]', 'registry."a".mirrors[0].location is ""', ""),
        (
            '[registry."a"]\nmirrors = [{location = "b", use = "never"}]',
            'registry."a".mirrors[0].use must be one of all, digest-only, tag-only',
            "",
        ),
        ('[registry."a"]\nmirrors = [7]', 'registry."a".mirrors[0] must be a string or a table', ""),
        ("[network", "is not TOML", ""),
    ],
)
def test_what_cannot_be_meant_is_named(text: str, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        config_of(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path}/config.toml")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_config(tmp_path / "config.toml", home=HOME)


def test_registries_conf(tmp_path: Path) -> None:
    """The example of containers-registries.conf(5), with every key that has to do with where a registry is."""
    path = tmp_path / "registries.conf"
    path.write_text(
        """
        unqualified-search-registries = ["example.com"]
        short-name-mode = "enforcing"

        [[registry]]
        prefix = "example.com/foo"
        insecure = false
        blocked = false
        location = "internal-registry-for-example.com/bar"

        [[registry.mirror]]
        location = "example-mirror-0.local/mirror-for-foo"

        [[registry.mirror]]
        location = "example-mirror-1.local/mirrors/foo"
        insecure = true
        pull-from-mirror = "tag-only"

        [[registry]]
        location = "registry.com"
        blocked = true

        [[registry]]
        prefix = "*.wild.example"
        insecure = true

        [[registry]]
        location = "by.digest"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "d.example"

        [[registry]]
        location = "r.example/app:1"
        blocked = true

        [aliases]
        "alpine" = "docker.io/library/alpine"
        """
    )
    assert read_registries_conf(path, home=HOME) == (
        Rule(
            "example.com/foo",
            "internal-registry-for-example.com/bar",
            (
                Mirror("example-mirror-0.local/mirror-for-foo"),
                Mirror("example-mirror-1.local/mirrors/foo", insecure=True, use="tag-only"),
            ),
            moves_pushes=False,
        ),
        Rule("registry.com", blocked=True, moves_pushes=False),
        Rule("*.wild.example", insecure=True, moves_pushes=False),
        Rule("by.digest", mirrors=(Mirror("d.example", use="digest-only"),), moves_pushes=False),
        Rule("r.example/app:1", blocked=True, moves_pushes=False),
    )
    assert read_registries_conf(tmp_path / "none", home=HOME) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[registries.search]\nregistries = ["docker.io"]', "is of version 1"),
        ('[[registry]]\nprefix = "a.example"', 'the registry with prefix "a.example" has no location'),
        ('registry = ["a"]', "registry must be an array of tables"),
        ('[[registry]]\nlocation = "a"\nmirror = ["b"]', 'the mirror "b"'),
        (
            '[[registry]]\nprefix = "a/b:1"\nlocation = "c/d"',
            'one image cannot be moved: "a/b:1" to "c/d"',
        ),
        (
            '[[registry]]\nlocation = "a"\nmirror-by-digest-only = true\n'
            '[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "all"',
            "pull-from-mirror cannot be given where the registry has mirror-by-digest-only",
        ),
    ],
)
def test_a_registries_conf_that_cannot_be_meant(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "registries.conf").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_registries_conf(tmp_path / "registries.conf", home=HOME)


def test_several_files_together(tmp_path: Path) -> None:
    user, system, podman, drop_ins = (tmp_path / name for name in ("user", "system", "podman.conf", "conf.d"))
    user.write_text('[registry."a.example"]\nlocation = "user.example"\n[host."h.example"]\ninsecure = true\n')
    system.write_text(
        '[network]\nattempts = 9\nca-files = ["/s.pem"]\n[registry."a.example"]\nlocation = "system.example"\n'
        '[host."h.example"]\nplain-http = true\n[host."only.example"]\ninsecure = true\n'
    )
    podman.write_text('[[registry]]\nlocation = "p.example"\n')
    drop_ins.mkdir()
    (drop_ins / "1.conf").write_text('[[registry]]\nlocation = "one.example"\n')
    (drop_ins / "2.conf").write_text('[[registry]]\nlocation = "two.example"\n')
    (drop_ins / "README").write_text("not read")
    files = HostFiles((user, system, tmp_path / "none"), (drop_ins, podman), (Path("/c"),))
    config = load_hosts(files, {"HTTPS_PROXY": "http://proxy", "SSL_CERT_FILE": "/ssl.pem"}, HOME)
    assert [rule.location or rule.prefix for rule in config.rules] == [
        "user.example",
        "system.example",
        "two.example",
        "one.example",
        "p.example",
    ]
    assert config.hosts == {"h.example": HostSettings(insecure=True), "only.example": HostSettings(insecure=True)}
    assert config.network.attempts == 9
    assert config.ca_files == (Path("/s.pem"), Path("/ssl.pem"))
    assert config.certs_dirs == (Path("/c"),)
    assert config.proxies == Proxies(https="http://proxy")


def test_of_two_tables_of_limits_the_first_counts_whole(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    user.write_text("[limits]\nimage-pieces = 5\n")
    system.write_text("[limits]\nlayer-entries = 7\nimage-pieces = 9\n")
    both = load_hosts(HostFiles((user, system), (), ()), {}, HOME)
    assert (both.content_limits, both.limits) == (ContentLimits(pieces=5), Limits())
    alone = load_hosts(HostFiles((tmp_path / "none", system), (), ()), {}, HOME)
    assert (alone.content_limits, alone.limits) == (ContentLimits(pieces=9), Limits(entries=7))


def test_where_files_are(tmp_path: Path) -> None:
    files = host_files({}, tmp_path)
    assert files.configs == (tmp_path / ".config/pyoci/config.toml", Path("/etc/pyoci/config.toml"))
    assert files.certs_dirs == (
        tmp_path / ".config/docker/certs.d",
        Path("/etc/docker/certs.d"),
        tmp_path / ".config/containers/certs.d",
        Path("/etc/containers/certs.d"),
    )
    assert files.registries_confs[-1] == Path("/etc/containers/registries.conf")
    (tmp_path / "x/containers").mkdir(parents=True)
    (tmp_path / "x/containers/registries.conf").write_text("")
    assert host_files({"XDG_CONFIG_HOME": f"{tmp_path}/x"}, tmp_path).registries_confs[-1] == (
        tmp_path / "x/containers/registries.conf"
    )
    assert host_files({"CONTAINERS_REGISTRIES_CONF": "/r"}, tmp_path).registries_confs == (Path("/r"),)


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    by_variable = host_files({"PYOCI_CONFIG": f"{tmp_path}/mine.toml"}, tmp_path)
    by_flag = host_files({"PYOCI_CONFIG": "/other"}, tmp_path, config=tmp_path / "mine.toml")
    for files in (by_variable, by_flag):
        with pytest.raises(UsageError, match=r"there is no configuration file .*/mine\.toml$"):
            load_hosts(files, {}, tmp_path)
    (tmp_path / "mine.toml").write_text("")
    assert load_hosts(by_flag, {}, tmp_path).hosts == {}


@pytest.mark.parametrize(
    "text",
    [
        '[[registry]]\nlocation = "a.example"\n',
        ' [[ registry ]]\nlocation = "a.example"\n',
        '[["registry"]]\nlocation = "a.example"\n',
        '[["\\u0072egistry"]]\nlocation = "a.example"\n',
        '# of short names\n[aliases]\n"a" = "b/c"\n[[registry]]\nlocation = "a.example"\n',
        'registry = [{location = "a.example"}]\n',
        'unqualified-search-registries = ["x.example"]\nregistry = [{location = "a.example"}]\n[aliases]\na = "b"\n',
        'note = """\n[aliases]\n"""\nregistry = [{location = "a.example"}]\n',
        '[aliases]\nregistry = "docker.io/library/registry"\n  [[registry]]\nlocation = "a.example"\n',
    ],
)
def test_registries_are_found_however_they_are_spelled(text: str, tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_text(text)
    assert [rule.prefix for rule in read_registries_conf(path, home=HOME)] == ["a.example"]


def test_a_file_of_short_names_is_not_read_as_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's shortnames.conf has a hundred lines that are no concern of ours."""
    path = tmp_path / "shortnames.conf"
    path.write_text(
        '[aliases]\n  # registry\n  "registry" = "docker.io/library/registry"\n  "a" = "registry.example/a"\n'
    )
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert read_registries_conf(path, home=HOME) == ()
    path.write_text('[[registry]]\nlocation = "a.example"\n')
    with pytest.raises(ImportError):
        read_registries_conf(path, home=HOME)
