"""What single mode pretends, beside what the kernel does: programs ask, become others, make and give away files.

The same script runs as root, with subordinate IDs and with none; what it prints and what it leaves must be the same.
"""

from __future__ import annotations

import re

import pytest

from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import Changed, World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_apt]

APT = "apt-get -qq -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false"
USER = "useradd -m -u 1000 bob;"


def owners(changes: dict[str, Changed]) -> dict[str, tuple[object, ...]]:
    return {path: (change.kind, change.mode, *change.owner, change.device) for path, change in changes.items()}


def same_everywhere(worlds: Worlds, script: str, *, modes: tuple[str, ...] = ("root", "subuid", "single")) -> str:
    """What the script prints in every mode, where all agree; and they agree on what it leaves."""
    said: dict[str, str] = {}
    left: dict[str, dict[str, tuple[object, ...]]] = {}
    for mode in modes:
        world = worlds(mode)
        result = world.run(script)
        assert result.status == 0, (mode, result.output)
        said[mode] = result.output
        left[mode] = owners(world.changes(lowers=[world.base]))
    assert dict.fromkeys(modes, said["root"]) == said
    assert {mode: left[mode] == left["root"] for mode in modes} == dict.fromkeys(modes, True), [
        (path, {mode: left[mode].get(path) for mode in modes})
        for path in sorted({path for changes in left.values() for path in changes})
        if len({left[mode].get(path) for mode in modes}) > 1
    ]
    return said["root"]


ASKING = """
chown 33:8 /etc/hostname; mkdir /d; chown 7:8 /d; ln -s x /l; chown -h 5:6 /l; mkfifo /p; chown 9:10 /p
cd /etc; stat -c '%u:%g %a %F %s %n' hostname ./hostname ../etc/hostname /etc/hostname /d /l /p /etc/passwd /etc/shadow
find / -xdev -uid 33; find /d /l /p -printf '%U:%G %p\\n'; ls -lnd /d /l | cut -d' ' -f1-4
perl -e 'print join(" ", (stat "hostname")[2,4,5]), "\\n"; open F, "<", "hostname";
  print join(" ", (stat F)[4,5]), "\\n"; print join(" ", (lstat "/l")[4,5]), "\\n";
  opendir D, "/d"; print -O "/d" ? "own" : "not own", "\\n"'
tar c -C / d etc/hostname l p | tar tv --numeric-owner | awk '{print $1, $2, $6}'
bash -c 'exec 5</etc/hostname; stat -L -c %u:%g /proc/self/fd/5 /dev/fd/5 /proc/$$/fd/5'; test -O /d || echo other
chown 0:0 /etc/hostname; stat -c %u:%g /etc/hostname; chown :8 /etc/hostname; stat -c %u:%g /etc/hostname
cp /bin/true /t; chmod 6755 /t; chown 33 /t; stat -c '%a %u' /t; rm /t; stat /t 2>&1 | tail -1; stat '' 2>&1 | tail -1
"""


def test_owners_are_seen(debian_worlds: Worlds) -> None:
    said = same_everywhere(debian_worlds, ASKING)
    assert len(re.findall("^33:8 [0-7]+ regular file", said, re.MULTILINE)) == 4
    assert "0:42 640 regular file" in said
    assert "/l -> x" in said or "lrwxrwxrwx 5/6" in said


def test_owners_are_seen_by_later_steps(debian: World) -> None:
    root = debian.fresh()
    assert debian.run("mkdir /d; touch /d/f; chown -R 33:34 /d; mknod /n c 1 3; chown 5 /n", root=root).status == 0
    assert root.upper is not None  # type: ignore[union-attr]
    second = debian.fresh(root.upper)  # type: ignore[union-attr]
    files = "/d /d/f" if debian.mode == "subuid" else "/d /d/f /n"  # where a device node is an empty file
    result = debian.run(f"stat -c '%u:%g %F' {files}; cp -a /d /e; cp -r /d /r; mv /d/f /g", root=second)
    assert "33:34 directory\n33:34 regular empty file\n5:0 character special file\n".startswith(result.output)
    found = {path: change.owner for path, change in debian.changes(second).items()}
    assert found["e"] == found["e/f"] == found["g"] == (33, 34)
    assert found["r"] == found["r/f"] == (0, 0)


COPYING = f"""{USER} mkdir -p /home/bob/a; echo 1 >/home/bob/a/f; ln -s f /home/bob/a/l; mkfifo /home/bob/a/p
mknod /home/bob/a/c c 5 1; chown -hR bob:mail /home/bob/a; chmod 2770 /home/bob/a
cp -a /home/bob/a /cp-a; cp -p /home/bob/a/f /cp-p; tar c -C /home/bob a | tar x --same-owner -C /srv
install -o bob -g mail -m 640 /etc/hostname /inst; mv /home/bob/a/f /moved; ln /moved /linked
dpkg-statoverride --add --update bob mail 4750 /inst; touch /srv/a/new; mkdir /srv/a/newdir; chown bob /srv/a/new
sed -i s/1/2/ /moved; sed -i s/x/x/ /etc/gshadow; passwd -q -d bob; chfn -f Bob bob
"""


def test_copies_keep_owners(debian_worlds: Worlds) -> None:
    same_everywhere(debian_worlds, COPYING.replace("mknod /home/bob/a/c c 5 1; ", ""))
    same_everywhere(debian_worlds, COPYING, modes=("root", "single"))


BECOMING = f"""{USER} usermod -G mail,games bob; id bob
su bob -s /bin/sh -c 'id; id -un; cd; touch f; mkdir d; ln -s f l; mkfifo p; echo x >r; cp /etc/passwd c;
  install -m 600 r i; chown root f; chgrp mail f && echo given; chgrp tape f
  mkdir -m 2775 s; chgrp games s; touch s/x; mkdir s/y' 2>&1
cd /home/bob; stat -c '%u:%g %a %n' f d l p r c i s s/x s/y
setpriv --reuid=bob --regid=mail --clear-groups sh -c 'id; touch /tmp/a'; setpriv --reuid=7 sh -c 'id -u; touch /tmp/b'
perl -e '$) = "8 8 60"; $> = 1000; print "$< $>\\n"; print join(" ", sort split / /, $)), "\\n"; open F, ">", "/tmp/e";
  $> = 0; print "$>\\n"; $< = $> = 1000; print "$< $>\\n"; $> = 0; print "$< $>\\n"'
perl -e 'use Fcntl; $> = 33; sysopen F, "/tmp/x", O_CREAT|O_EXCL|O_WRONLY, 0600; print F 1; close F;
  print sysopen(G, "/tmp/x", O_CREAT|O_EXCL|O_WRONLY) ? "made" : $! + 0, "\\n"; sysopen H, "/tmp/x", O_CREAT|O_RDWR;
  print ((-s H), "\\n"); system "id -u; umask 077; touch /tmp/y"; link "/tmp/x", "/tmp/z"'
stat -c '%u:%g %a %h %n' /tmp/?; cp /usr/bin/id /idx; chown bob:mail /idx; chmod 6755 /idx
setpriv --reuid=7 --regid=7 --clear-groups /idx; chmod 4711 /idx; chown root /idx; chmod 4755 /idx
su bob -s /bin/sh -c /idx; chroot --userspec=7:8 / id; su - bob -s /bin/bash -c 'echo $HOME; id -u'
runuser -u bob -- sh -c 'echo $(id -u) $(id -g); (sleep 0.1; id -u) & wait'
"""


def test_who_becomes_another_is_that_one(debian_worlds: Worlds) -> None:
    said = same_everywhere(debian_worlds, BECOMING)
    assert "uid=1000(bob) gid=1000(bob) groups=1000(bob),8(mail),60(games)" in said


UNPRIVILEGED = r"""
use strict; use POSIX; $) = '1000 1000 8'; $( = 1000; POSIX::setuid(1000);
sub try { my ($what, $result) = @_; print "$what:", ($result ? 'ok' : $!+0), "\n" }
try('setuid 0', syscall(105, 0) == 0); try('setgid 0', syscall(106, 0) == 0);
try('setuid self', syscall(105, 1000) == 0);
try('setreuid', syscall(113, 0, 1000) == 0); try('setresuid', syscall(117, -1, 0, -1) == 0);
try('setuid -1', syscall(105, -1) == 0); try('setgid 8', syscall(106, 8) == 0);
my $list = pack 'L*', 0; try('setgroups', syscall(116, 1, $list) == 0);
my ($one, $two, $three) = ("\0" x 4) x 3;
try('getresuid', syscall(118, $one, $two, $three) == 0);
print join(' ', map { unpack 'L', $_ } $one, $two, $three), "\n";
my $room = "\0" x 8; print 'groups ', syscall(115, 2, $room), ' ', join(' ', unpack 'L*', $room), "\n";
try('too small', syscall(115, 1, $room) >= 0); print 'fsuid ', syscall(122, 5), "\n";
chdir '/tmp'; open(my $f, '>', 'mine'); try('chown away', chown(0, -1, 'mine')); try('own group', chown(-1, 8, 'mine'));
try('foreign group', chown(-1, 9, 'mine')); try('not mine', chown(1000, 1000, '/etc/passwd'));
try('device', syscall(133, my $d = 'dev', 0020644, 259) == 0); try('mkdir twice', mkdir('dir') && mkdir('dir'));
try('no directory', mkdir('none/dir')); try('symlink', symlink('a' x 300, 'link')); try('again', symlink('b', 'link'));
try('dangling', symlink('target', 'dangling') && open(my $g, '>', 'dangling')); try('dot', mkdir('.'));
try('trailing', mkdir('trailing/')); try('create slash', open(my $h, '>', 'file/'));
"""


def test_what_another_user_may_not_do(debian_worlds: Worlds) -> None:
    """Rights over IDs and owners; whether it may write to a file is not among them."""
    said = {}
    for mode in ("root", "subuid", "single"):
        said[mode] = debian_worlds(mode).run(["perl", "-e", UNPRIVILEGED]).output
    assert said["single"] == said["root"]
    assert said["subuid"] == said["root"]
    assert "setuid 0:1\n" in said["root"] and "getresuid:ok\n1000 1000 1000\n" in said["root"]


def test_what_is_made_behind_a_dangling_link_is_roots(debian_worlds: Worlds) -> None:
    """One of the few things that single mode does not follow."""
    script = "cd /tmp; ln -s t d; setpriv --reuid=33 --regid=33 --clear-groups sh -c 'echo >d'; stat -c %u t"
    assert [debian_worlds(mode).run(script).output for mode in ("root", "single")] == ["33\n", "0\n"]


def test_a_limit_of_the_processes_own_is_not_in_the_way(debian: World) -> None:
    """pam_limits and others set every limit there is, the one that carries who a process is among them."""
    script = "ulimit -R unlimited; setpriv --reuid=33 bash -c 'ulimit -R unlimited; ulimit -S -R 7; id -u'"
    assert debian.run(["bash", "-c", script]).output == "33\n"


def test_another_root_directory_is_seen_from_inside(debian: World) -> None:
    script = (
        "mkdir -p /r/bin /r/lib /r/etc; cp /bin/stat /bin/ln /r/bin; cp -rL /lib64 /r/; "
        "for f in $(ldd /bin/stat /bin/ln | grep -o '/lib[^ ]*'); do cp --parents -L $f /r; done; "
        "echo x >/r/etc/f; ln -s /etc/f /r/etc/l; chown 33:34 /r/etc/f; chown 5 /etc/hostname;"
        "chroot /r /bin/stat -L -c %u:%g /etc/f /etc/l etc/l ../../etc/f; chroot /r /bin/stat -c %u /etc/hostname; true"
    )
    said = debian.run(script).output.splitlines()
    assert said[:4] == ["33:34"] * 4
    assert "No such file" in said[4]


@pytest.mark.timeout(900)
def test_servers_install_for_an_ordinary_user(debian_worlds: Worlds) -> None:
    """Packages whose scripts become other users, who check owners, before they write: initdb, mariadb-install-db, …

    sudo is asked by its user for root and for a third one.
    """
    script = (
        f"export DEBIAN_FRONTEND=noninteractive; {APT} update && {APT} install -y --no-install-recommends "
        "postgresql mariadb-server openssh-server nginx-light sudo rsync >/dev/null 2>/log || { tail /log; exit 1; };"
        f"{USER} echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob; chmod 440 /etc/sudoers.d/bob;"
        "sudo -u bob sh -c 'id -u; id -g; touch ~/by-sudo'; su bob -s /bin/sh -c 'sudo -n id -u; sudo -n touch ~/root;"
        "sudo -n -u www-data touch /tmp/www; id -u'; rsync -a /home/bob/ /srv/bob/; mkdir -p /run/sshd;"
        "/usr/sbin/sshd -t && echo checked"
    )
    found = {}
    for mode in ("root", "single"):
        world = debian_worlds(mode)
        result = world.run(script, network="host", timeout_seconds=420)
        assert (result.status, result.output) == (0, "1000\n1000\n0\n1000\nchecked\n"), mode
        found[mode] = owners(world.changes(lowers=[world.base]))
    assert found["root"]["var/lib/postgresql/15/main/PG_VERSION"][2:4] != (0, 0)
    assert found["root"]["tmp/www"][2:4] == (33, 33)
    differing = {
        path: (found["root"].get(path), found["single"].get(path))
        for path in found["root"].keys() | found["single"].keys()
        if found["root"].get(path) != found["single"].get(path)
    }
    assert differing == {}
    assert len(found["root"]) > 8000
