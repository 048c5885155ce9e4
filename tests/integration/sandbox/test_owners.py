"""Who owns what a step makes, in every mode."""

from __future__ import annotations

import time

import pytest

from pyoci.sandbox.protocols import BindMount, FileMount, Mount, OverlayRoot, TmpfsMount
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import Changed, World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_apt]

APT = "apt-get -qq -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false"
INSTALL = (
    f"export DEBIAN_FRONTEND=noninteractive; {APT} update && "
    f"{APT} install -y --no-install-recommends hello openssh-client >/dev/null && hello && "
    "adduser --quiet --disabled-password --gecos '' bob && id bob"
)


def owners(changes: dict[str, Changed]) -> dict[str, tuple[str, int, int, int]]:
    return {path: (change.kind, change.mode, *change.owner) for path, change in changes.items()}


def test_installing_packages_and_making_users(debian: World) -> None:
    started = time.monotonic()
    result = debian.run(INSTALL, network="host", timeout_seconds=300)
    assert result.status == 0, result.output
    assert "Hello, world!" in result.output
    assert "uid=1000(bob) gid=1000(bob)" in result.output
    assert time.monotonic() - started < 200
    found = owners(debian.changes(lowers=[debian.base]))
    agent = found["usr/bin/ssh-agent"]
    group = 101  # _ssh, the first that the package makes
    assert agent == ("file", 0o2755, 0, group)
    assert found["home/bob"] == ("dir", 0o700 if found["home/bob"][1] == 0o700 else 0o755, 1000, 1000)
    assert found["home/bob/.profile"][2:] == (1000, 1000)
    assert found["etc/shadow"] == ("file", 0o640, 0, 42)
    assert found["usr/bin/hello"] == ("file", 0o755, 0, 0)
    assert debian.warnings == []


@pytest.mark.timeout(600)
def test_every_mode_makes_the_same_layer(debian_worlds: Worlds) -> None:
    """Issue: one step, three modes, equal contents; but for what packages write about the time."""
    found = {}
    for mode in ("root", "subuid", "single"):
        world = debian_worlds(mode)
        script = (
            "useradd -m alice; mkdir -p /srv/a/b; chown -R alice:33 /srv; chmod 4711 /srv/a;"
            "install -d -o 33 -g 34 -m 2770 /var/w; cp /bin/true /opt/t; chmod 4755 /opt/t;"
            "ln /opt/t /opt/h; ln -s t /opt/l; chown -h 7:8 /opt/l; mkfifo /opt/f; chown 9:10 /opt/f;"
            "rm /etc/motd; rm -r /usr/share/doc; mkdir /usr/share/doc; chown root:mail /etc/issue;"
            "mknod /opt/c c 1 3; mknod -m 640 /opt/b b 7 0; chown 0:6 /opt/b; echo x >/opt/x;"
            "chown 1234:55 /opt/x; chgrp 5 /opt/x; mv /opt/x /opt/y; touch /opt/z; chown 0:0 /opt/z"
        )
        result = world.run(script)
        assert result.status == 0, result.output
        found[mode] = owners(world.changes(lowers=[world.base]))
    assert found["subuid"] == found["root"]
    assert found["single"] == found["root"]
    assert found["root"]["opt/l"][2:] == (7, 8)
    assert found["root"]["opt/f"] == ("other", 0o644, 9, 10)


def test_owners_modes_and_devices(debian: World) -> None:
    script = (
        "install -d -o33 -g33 /srv/www; mknod /opt/x c 1 3; echo x>/a; chown 1234:55 /a; chgrp 5 /a; mv /a /b;"
        "ln /b /c; chmod 4755 /b"
    )
    assert debian.run(script).status == 0
    changes = debian.changes()
    assert changes["srv/www"].owner == (33, 33)
    assert (changes["opt/x"].kind, changes["opt/x"].device, changes["opt/x"].mode) == ("char", (1, 3), 0o644)
    assert (changes["b"].owner, changes["c"].owner, changes["b"].mode) == ((1234, 5), (1234, 5), 0o4755)
    assert (changes["b"].links, changes["c"].links) == (2, 2)


def test_a_file_keeps_the_owner_that_its_path_had(debian: World) -> None:
    """Changed in place, and replaced by a new file as sed and passwd do."""
    assert debian.run("chmod 600 /etc/shadow; sed -i s/x/x/ /etc/gshadow; touch /var/mail").status == 0
    changes = debian.changes(lowers=[debian.base])
    assert (changes["etc/shadow"].mode, changes["etc/shadow"].owner) == (0o600, (0, 42))
    # GNU sed gives its new file the old one's owner; where owners cannot be seen the path tells.
    assert changes["etc/gshadow"].owner == (0, 42)
    assert changes["var/mail"].owner == (0, 8)


def test_what_is_given_to_root_belongs_to_root(debian: World) -> None:
    assert debian.run("chown 0:0 /etc/shadow; touch /new; chown 5:5 /new; chown root /new; chgrp root /new").status == 0
    changes = debian.changes(lowers=[debian.base])
    assert changes["etc/shadow"].owner == (0, 0)
    assert changes["new"].owner == (0, 0)


def test_a_new_file_over_one_that_was_not_roots_is_roots(debian: World) -> None:
    """What single mode can tell from `sed -i` since programs see the owners that were recorded."""
    script = "cp /etc/gshadow /g; rm /etc/gshadow; cp /g /etc/gshadow; rm -r /var/mail; mkdir -m 775 /var/mail"
    assert debian.run(script).status == 0
    changes = debian.changes(lowers=[debian.base])
    assert (changes["etc/gshadow"].owner, changes["var/mail"].owner) == ((0, 0), (0, 0))


def test_files_of_another_user_belong_to_it(debian: World) -> None:
    root = debian.fresh()
    assert debian.run("useradd -m app && chmod 777 /opt", root=root).status == 0
    assert isinstance(root, OverlayRoot) and root.upper is not None
    second = debian.fresh(root.upper)
    result = debian.run(
        "id -u; id -g; touch ~/f /opt/g; mkdir ~/d; ln -s f ~/l; mkfifo ~/p",
        root=second,
        uid=1000,
        gid=1000,
        env=["HOME=/home/app"],
    )
    assert result.output == "1000\n1000\n"
    changes = debian.changes(second, lowers=[root.upper, debian.base])
    new = ("home/app/f", "home/app/d", "home/app/l", "home/app/p", "opt/g")
    assert {changes[path].owner for path in new} == {(1000, 1000)}
    assert changes["home/app"].owner == (1000, 1000)


def test_supplementary_groups(debian: World) -> None:
    if debian.mode == "single":
        pytest.skip("single mode has one group")
    result = debian.run("id -G; touch /g && echo made", root=None, uid=1000, gid=1000, groups=[44, 1000, 7])
    assert result.output.splitlines()[0] in ("1000 44 7", "1000 7 44")
    assert "made" not in result.output


@pytest.mark.parametrize("mode", ["root", "subuid"])
def test_setuid_programs_work(debian_worlds: Worlds, mode: str) -> None:
    world = debian_worlds(mode)
    result = world.run("su -s /bin/sh nobody -c id; su -s /bin/sh daemon -c 'id -u'")
    assert result.output.splitlines()[0].startswith("uid=65534(nobody) gid=65534(nogroup)")
    # A copy of the shell that keeps what setuid gives it.
    root = world.fresh()
    assert world.run("cp /usr/bin/perl /p; chmod 4755 /p", root=root).status == 0
    assert world.run(["/p", "-e", "print qq($> $<)"], root=root, uid=1000, gid=1000).output == "0 1000"


def test_in_single_mode_another_user_is_only_that_user(debian_worlds: Worlds) -> None:
    world = debian_worlds("single")
    result = world.run(
        "id; su -s /bin/sh nobody -c id; unshare -Ur id; chown 33 /tmp; chown 1000 /opt && echo own",
        uid=1000,
        gid=1001,
    )
    assert result.output.splitlines()[0].startswith("uid=1000 gid=1001")
    assert "own" in result.output
    assert "uid=65534" not in result.output


def test_file_capabilities(debian: World) -> None:
    """Version 2, without the ID of a namespace, as a layer has it."""
    # cap_net_raw+ep: revision 2 with the effective bit, permitted 1 << 13 (include/uapi/linux/capability.h).
    value = "0100000200200000" + "0" * 24
    perl = (
        f"my ($p, $n, $v) = ('/opt/t', 'security.capability', pack('H*', '{value}'));"
        "exit(syscall(188, $p, $n, $v, length $v, 0) == 0 ? 0 : 1)"
    )
    assert debian.run(f'cp /bin/true /opt/t && perl -e "{perl.replace("$", chr(92) + "$")}"').status == 0
    assert debian.changes()["opt/t"].xattrs == {"security.capability": bytes.fromhex(value)}


def test_giving_away_takes_setuid_and_capabilities(debian: World) -> None:
    script = (
        "cp /bin/true /opt/t; chmod 6755 /opt/t; chown 5:5 /opt/t; stat -c %a /opt/t; mkdir /opt/d; chmod 2755 /opt/d;"
        "chown 5:5 /opt/d; stat -c %a /opt/d"
    )
    assert debian.run(script).output == "755\n2755\n"


UNUSUAL_PATHS = """
use strict; my ($empty, $null) = ('', 0);
sub try { my ($what, $result) = @_; print "$what:", ($result == 0 ? 'ok' : $!+0), "\\n" }
sub make { open(my $f, '>', $_[0]) or die "$_[0]: $!"; return $f }
chdir '/opt'; mkdir 'deep'; symlink 'deep', 'link'; symlink '/opt/deep', 'absolute'; symlink '/proc/self/fd/9', 'nine';
my $f = make('deep/relative');
my $g = make('deep/up'); make('deep/abs'); make('deep/at'); make('deep/empty'); make('fd');
my ($p, $q, $r, $s) = ('link/relative', 'deep/../deep/up', '/opt/absolute/abs', 'at');
try('relative', syscall(92, $p, 11, 12));
try('dots', syscall(92, $q, 13, 14));
try('absolute', syscall(92, $r, 15, 16));
opendir(my $d, '/opt/deep');
open(my $dir, '<', '/opt/deep');
try('at', syscall(260, fileno($dir), $s, 17, 18, 0));
open(my $e, '<', 'deep/empty');
try('empty path', syscall(260, fileno($e), $empty, 19, 20, 0x1000));
open(my $o, '<', 'fd');
my $self = '/proc/self/fd/' . fileno($o);
try('proc', syscall(92, $self, 21, 22));
my $own = "/proc/$$/fd/" . fileno($o);
try('proc pid', syscall(92, $own, -1, 23));
my ($out, $link) = ('/dev/stdout', '/var/log/out');
try('stdout', syscall(92, $out, 24, 25));
symlink '/dev/stdout', $link;
try('link to stdout', syscall(92, $link, 26, 27));
try('the link', syscall(94, $link, 28, 29));
my ($none, $long, $file) = ('/opt/none', 'x' x 5000, '/etc/passwd/x');
try('missing', syscall(92, $none, 1, 1));
try('long', syscall(92, $long, 1, 1));
try('not a directory', syscall(92, $file, 1, 1));
try('bad descriptor', syscall(93, 77, 1, 1));
try('bad address', syscall(92, $null + 16, 1, 1));
try('fchown', syscall(93, fileno($f), 30, 31));
my $loop = 'loop';
symlink 'loop', 'loop';
try('loop', syscall(92, $loop, 1, 1));
try('lchown loop', syscall(94, $loop, 32, 33));
my $keep = 'fd';
try('only group', syscall(92, $keep, -1, 34));
my $proc = '/proc/version';
try('proc file', syscall(92, $proc, 1, 1));
chdir '/opt/deep';
chroot '/opt/deep' or die "chroot: $!";
my ($top, $over) = ('/up', '../../../../up');
symlink '/up', '/again';
try('after chroot', syscall(92, $top, 35, 36));
try('over the top', syscall(92, $over, 37, 38));
my $again = '/again';
try('absolute link after chroot', syscall(92, $again, 39, 40));
"""

EXPECTED_RESULTS = {
    **dict.fromkeys(
        ["relative", "dots", "absolute", "at", "empty path", "proc", "proc pid", "stdout", "link to stdout"], "ok"
    ),
    "the link": "ok",
    "missing": "2",
    "long": "36",
    "not a directory": "20",
    "bad descriptor": "9",
    "bad address": "14",
    "fchown": "ok",
    "loop": "40",
    "lchown loop": "ok",
    "only group": "ok",
    "after chroot": "ok",
    "over the top": "ok",
    "absolute link after chroot": "ok",
}
EXPECTED_OWNERS = {
    "opt/deep/relative": (30, 31),
    "opt/deep/abs": (15, 16),
    "opt/deep/at": (17, 18),
    "opt/deep/empty": (19, 20),
    "opt/fd": (21, 34),
    "var/log/out": (28, 29),
    "opt/loop": (32, 33),
    "opt/deep/up": (39, 40),
}


def test_paths_that_are_not_simple(debian: World) -> None:
    """/proc/self, a step that changes its root, links, bad arguments: as the kernel does."""
    result = debian.run(["perl", "-e", UNUSUAL_PATHS])
    found = dict(line.split(":") for line in result.output.splitlines())
    # The kernel lets root of the machine change owners in /proc, and nobody else.
    assert found.pop("proc file") in ("ok", "1")
    if debian.mode == "subuid":
        # The pipe is root's here, which made it for a worker of another user.
        assert {found.pop("stdout"), found.pop("link to stdout")} == {"1"}
    assert found.items() <= EXPECTED_RESULTS.items(), result.output
    assert len(found) >= len(EXPECTED_RESULTS) - 2
    changes = debian.changes()
    assert {path: changes[path].owner for path in EXPECTED_OWNERS} == EXPECTED_OWNERS


def test_owners_of_links_that_the_image_had(debian: World) -> None:
    root = debian.fresh(debian.layer({"opt/link": "target", "opt/file": b"x"}))
    assert debian.run("chown -h 5:6 /opt/link; mv /opt/link /opt/moved; chown 7 /opt/file", root=root).status == 0
    changes = debian.changes()
    assert (changes["opt/moved"].kind, changes["opt/moved"].owner) == ("symlink", (5, 6))
    assert changes["opt/file"].owner == (7, 0)


def test_owners_in_caches_memory_and_read_only_places(debian: World) -> None:
    """Succeeds where the kernel lets root do it, and refuses where a file system does."""
    cache = debian.directory()
    mounts: list[Mount] = [
        BindMount("/cache", cache, access="read-write"),
        TmpfsMount("/m"),
        BindMount("/ro", debian.directory()),
        FileMount("/f", b""),
    ]
    result = debian.run("touch /cache/a /m/a; chown 5:5 /cache/a /m/a && echo ok; chown 5 /ro; chown 5 /f", mounts)
    assert result.output.startswith("ok\n")
    assert result.output.count("Read-only file system") == 2
    assert debian.changes() == {}


def test_archives_keep_their_owners(debian: World) -> None:
    script = (
        "mkdir /s; echo 1 >/s/a; ln -s a /s/l; mkfifo /s/p;"
        "tar -c -f /t.tar --owner=alice:1234 --group=x:4321 -C /s . &&"
        "mkdir /d && tar -x -p --same-owner --numeric-owner -f /t.tar -C /d && rm -r /s /t.tar; cp -a /d /e"
    )
    assert debian.run(script).status == 0
    changes = debian.changes()
    found = {path: change.owner for path, change in changes.items() if path[0] == "d"}
    assert found == dict.fromkeys(["d", "d/a", "d/l", "d/p"], (1234, 4321))


def test_whiteouts_cannot_be_forged(debian: World) -> None:
    assert debian.run("mknod /etc/passwd2 c 0 0").status != 0
    assert "etc/passwd2" not in debian.changes()


def test_who_may_not_make_devices_makes_none(debian: World) -> None:
    """The recorder, which may everything, does nothing for a process that may not."""
    script = "mknod /etc/x c 1 3; mknod /tmp/x c 1 3; ls /etc/x /tmp/x"
    assert debian.run(script, uid=1000, gid=1000).status != 0
    assert debian.run(f"setpriv --bounding-set=-all --inh-caps=-all sh -c '{script}'").status != 0
    assert {"etc/x", "tmp/x"}.isdisjoint(debian.changes())


def test_a_device_has_the_mode_that_was_asked_for(debian: World) -> None:
    assert (
        debian.run("umask 077; mknod /a c 5 1; mknod -m 666 /b b 8 1; mknod /b b 1 1 || echo exists >&2").output.count(
            "exists"
        )
        >= 1
    )
    changes = debian.changes()
    assert {path: (changes[path].kind, changes[path].mode, changes[path].device) for path in ("a", "b")} == {
        "a": ("char", 0o600, (5, 1)),
        "b": ("block", 0o666, (8, 1)),
    }


def test_recording_is_quick(debian_worlds: Worlds) -> None:
    world = debian_worlds("single")
    times = []
    for count in (1, 2000):
        perl = f"my $p = '/opt/f'; open F, '>', $p; for (1..{count}) {{ syscall(92, $p, $_, $_) == 0 or die }}"
        started = time.monotonic()
        assert world.run(["perl", "-e", perl]).status == 0
        times.append(time.monotonic() - started)
        assert world.changes()["opt/f"].owner == (count, count)
    assert times[1] - times[0] < 2000 * 0.002
