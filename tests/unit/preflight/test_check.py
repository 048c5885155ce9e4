"""Small images with one fault each, and what is said of it. The messages are part of what is promised."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.image.config import ContainerConfig, Healthcheck
from pyoci.layer.tree import Tree
from pyoci.location import Location, SourceFile
from pyoci.platforms import Platform
from pyoci.preflight.check import check_image
from pyoci.preflight.findings import RULES
from tests.builders import Item, changes_of, directory, fifo, file, symlink
from tests.elf_builder import EM_386, EM_AARCH64, EM_ARM, ET_REL, ElfSpec, make_elf
from tests.unit.preflight.looking import STATIC, executable, look, rules, text_of

APP = {"app": executable(STATIC)}
SHELL = {"bin/sh": executable(STATIC)}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def script(text: str, **attributes: int) -> Item:
    return executable(text.encode(), **attributes)


def say(items: dict[str, Item], **fields: Any) -> list[str]:
    return text_of(look(items, **{"entrypoint": ("/app",), **fields}))


def test_a_program_that_is_there_is_nothing_to_talk_about() -> None:
    assert say(APP) == []


FAULTS: dict[str, tuple[dict[str, Item], dict[str, Any], str]] = {
    "missing": (
        {},
        {},
        'error: entrypoint "/app": there is no /app in the image | COPY it there, or correct the path',
    ),
    "elsewhere": (
        {"usr/bin/app": executable(STATIC)},
        {},
        'error: entrypoint "/app": there is no /app in the image | did you mean /usr/bin/app?',
    ),
    "below a file": (
        {"app": executable(STATIC)},
        {"entrypoint": ("/app/run",)},
        'error: entrypoint "/app/run": /app is a file and no directory | COPY it there, or correct the path',
    ),
    "dangling link": (
        {"app": symlink("/opt/app")},
        {},
        'error: entrypoint "/app": there is no /opt in the image (through the link /app -> /opt/app) '
        "| COPY it there, or correct the path",
    ),
    "links in a circle": (
        {"app": symlink("b"), "b": symlink("app")},
        {},
        'error: entrypoint "/app": the symbolic links lead in a circle (through the link /b -> app) '
        "| COPY it there, or correct the path",
    ),
    "not in PATH": (
        {"opt/app": executable(STATIC)},
        {"entrypoint": ("app",)},
        f'error: entrypoint "app": executable file not found in PATH ({PATH}) '
        "| it is at /opt/app: write that, or add its directory to PATH with ENV",
    ),
    "PATH is not the working directory": (
        {"srv/app": executable(STATIC)},
        {"entrypoint": ("app",), "working_dir": "/srv", "env": ("PATH=/bin",)},
        'error: entrypoint "app": executable file not found in PATH (/bin) '
        '| PATH is searched, not the working directory: write "./app" or "/srv/app"',
    ),
    "a command line in one word": (
        APP,
        {"entrypoint": ("/app --verbose",)},
        'error: entrypoint "/app --verbose": there is no /app --verbose in the image '
        '| write each word by itself: ["/app", "--verbose"]',
    ),
    "a word of blanks": (
        {},
        {"entrypoint": (" ",), "env": ("PATH=/bin",)},
        'error: entrypoint " ": executable file not found in PATH (/bin) | COPY or install it, or correct the name',
    ),
    "mode": (
        {"app": file(STATIC, mode=0o644)},
        {},
        'error: entrypoint "/app" may not be executed by user 0:0: its mode is 0644, its owner 0:0 '
        "| COPY --chmod=755 it, or chmod +x it in the stage that makes it",
    ),
    "mode, in PATH": (
        {"bin/app": file(STATIC, mode=0o644)},
        {"entrypoint": ("app",), "env": ("PATH=/bin",)},
        'error: entrypoint "app" is at /bin/app, which may not be executed by user 0:0: its mode is 0644, its owner '
        "0:0 | COPY --chmod=755 it, or chmod +x it in the stage that makes it",
    ),
    "somebody else's program": (
        {"app": executable(STATIC, mode=0o750)},
        {"user": "1000:1000"},
        'error: entrypoint "/app" may not be executed by user 1000:1000: its mode is 0750, its owner 0:0 '
        "| COPY --chmod=755 it, or --chown=1000:1000",
    ),
    "a directory that is closed": (
        {"root": directory(mode=0o700), "root/app": executable(STATIC)},
        {"entrypoint": ("/root/app",), "user": "1000:1000"},
        'error: entrypoint "/root/app": user 1000:1000 may not enter /root: its mode is 0700, its owner 0:0 '
        "| let others search it: chmod o+x /root, or --chown and --chmod on the COPY that makes it",
    ),
    "a directory": (
        {"app/server": executable(STATIC)},
        {},
        'error: entrypoint "/app" is a directory | name the program in it: "/app/server"',
    ),
    "a pipe": ({"app": fifo(mode=0o755)}, {}, 'error: entrypoint "/app" is a fifo and no file | '),
    "empty": (
        {"app": executable(b"")},
        {},
        'error: entrypoint "/app" is an empty file: exec format error | was it copied before it was written?',
    ),
    "a text": (
        {"app": script("echo hello\n")},
        {},
        'error: entrypoint "/app" is a text whose first line does not begin with "#!": exec format error '
        "| begin it with #!/bin/sh, or name its interpreter in the entrypoint",
    ),
    "a Git LFS pointer": (
        {"app": script("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")},
        {},
        'error: entrypoint "/app" is a text whose first line does not begin with "#!": exec format error '
        "| it is a Git LFS pointer: run git lfs pull before the build",
    ),
    "a byte order mark": (
        {"app": executable(b"\xef\xbb\xbf#!/bin/sh\n"), **SHELL},
        {},
        'error: entrypoint "/app" is a text whose first line does not begin with "#!": exec format error '
        "| take the byte order mark off: save it as UTF-8 without BOM",
    ),
    "a blank line first": (
        {"app": script("\n#!/bin/sh\n"), **SHELL},
        {},
        'error: entrypoint "/app" is a text whose first line does not begin with "#!": exec format error '
        "| nothing may stand before the #!, not even a blank line",
    ),
    "an archive": (
        {"app": script("!<arch>\n__.PKGDEF\n")},
        {},
        'error: entrypoint "/app" is an archive of object files: exec format error '
        "| give go build a main package, or link it",
    ),
    "nothing that has a name": (
        {"app": executable(b"\1\2\3\0")},
        {},
        'error: entrypoint "/app" is neither a program nor a script: exec format error | was the right file copied?',
    ),
    "for Windows": (
        {"app": executable(b"MZ\x90\0")},
        {},
        'error: entrypoint "/app" is a program for Windows: exec format error '
        "| build it for the image's platform: GOOS=linux GOARCH=amd64 for Go",
    ),
    "for macOS": (
        {"app": executable(b"\xcf\xfa\xed\xfe\x0c\0\0\x01")},
        {},
        'error: entrypoint "/app" is a program for macOS: exec format error '
        "| build it for the image's platform: GOOS=linux GOARCH=amd64 for Go",
    ),
    "WebAssembly": (
        {"app": executable(b"\0asm\x01\0\0\0")},
        {},
        'error: entrypoint "/app" is a WebAssembly module: exec format error | run it with a WebAssembly runtime',
    ),
    "damaged": (
        {"app": executable(STATIC[:50])},
        {},
        'error: entrypoint "/app" is no valid ELF file (the file ends within a structure): exec format error '
        "| was it copied whole?",
    ),
    "an object file": (
        {"app": executable(make_elf(ElfSpec(type=ET_REL)))},
        {},
        'error: entrypoint "/app" is an object file: exec format error | link it first',
    ),
    "truncated": (
        {"app": executable(make_elf(ElfSpec(sections={".text": bytes(4000)}, section_headers=False))[:-1000])},
        {},
        'error: entrypoint "/app" ends 983 bytes too early | was it copied whole?',
    ),
    "for another processor": (
        {"app": executable(make_elf(ElfSpec(machine=EM_AARCH64)))},
        {},
        'error: entrypoint "/app" is a program for arm64, the image is for linux/amd64: exec format error '
        "| build it for amd64, or build the image for the program's platform with --platform",
    ),
    "for 32 bits": (
        {"app": executable(make_elf(ElfSpec(machine=EM_386, bits=32)))},
        {},
        'warning: entrypoint "/app" is a program for 386 in an image for linux/amd64: it needs a kernel and a '
        "processor "
        "that run 32-bit programs | build it for amd64, or build the image for the program's platform with --platform",
    ),
    "no shell": (
        APP,
        {"entrypoint": ("/bin/sh", "-c", "/app --verbose")},
        'error: the entrypoint "/app --verbose" is in shell form, and there is no /bin/sh in the image '
        '| write it in exec form, ["/app", "--verbose"], or use a base that has a shell',
    ),
    "no shell, and a line that needs one": (
        APP,
        {"entrypoint": None, "cmd": ("/bin/sh", "-c", "/app --port=$PORT")},
        'error: the command "/app --port=$PORT" is in shell form, and there is no /bin/sh in the image '
        '| write it in exec form, ["…"], or use a base that has a shell',
    ),
    "the shell's program is missing": (
        SHELL,
        {"entrypoint": None, "cmd": ("/bin/sh", "-c", "exec serve $PORT")},
        f'error: command (shell form) "serve": not found in PATH ({PATH}) | COPY or install it, or correct the name',
    ),
    "the shell's program may not be executed": (
        {**SHELL, "app": file(STATIC)},
        {"entrypoint": None, "cmd": ("/bin/sh", "-c", "/app && echo done")},
        'error: command (shell form) "/app" may not be executed by user 0:0: its mode is 0644, its owner 0:0 '
        "| COPY --chmod=755 it, or chmod +x it in the stage that makes it",
    ),
    "no JSON": (
        {**SHELL, **APP},
        {"entrypoint": ("/bin/sh", "-c", "['/app', '-v']")},
        "error: the entrypoint ['/app', '-v'] is no JSON, so the shell looks for a program of that name "
        '| JSON has double quotes: ["/app", "-v"]',
    ),
    "an init program's program": (
        {"sbin/tini": executable(STATIC)},
        {"entrypoint": ("/sbin/tini", "--", "/app")},
        'error: entrypoint "/app": there is no /app in the image | COPY it there, or correct the path',
    ),
    "an unknown user": (
        {**APP, "etc/passwd": b"root:x:0:0::/:/\n"},
        {"user": "web"},
        'error: USER: user "web" is not in /etc/passwd of the image | add it with RUN adduser, or give its number',
    ),
    "an unknown group": (
        {**APP, "etc/passwd": b"web:x:5:5::/:/\n", "etc/group": b"web:x:5:\n"},
        {"user": "web:staff"},
        'error: USER: group "staff" is not in /etc/group of the image | add it with RUN addgroup, or give its number',
    ),
    "a user without a number": (
        {**APP, "etc/passwd": b"web:x:five:5::/:/\n"},
        {"user": "web"},
        'error: USER: the line of "web" in /etc/passwd has no valid numbers '
        "| add it with RUN adduser, or give its number",
    ),
    "a working directory that is a file": (
        APP,
        {"working_dir": "/app/data"},
        "error: the working directory /app/data is no directory, since /app is a file | name a directory in WORKDIR",
    ),
    "a file as the working directory": (
        APP,
        {"working_dir": "/app"},
        "error: the working directory /app is no directory, since /app is a file | name a directory in WORKDIR",
    ),
    "links in a circle as the working directory": (
        {**APP, "data": symlink("data")},
        {"working_dir": "/data/x"},
        "error: the working directory /data/x leads in a circle | name a directory in WORKDIR",
    ),
    "a directory of PATH that is closed": (
        {"opt": directory(mode=0o700), "opt/app": executable(STATIC)},
        {"entrypoint": ("app",), "env": ("PATH=/opt",), "user": "7:7"},
        'error: entrypoint "app": user 7:7 may not enter /opt: its mode is 0700, its owner 0:0 '
        "| let others search it: chmod o+x /opt, or --chown and --chmod on the COPY that makes it",
    ),
    "nothing to run": (
        APP,
        {"entrypoint": None},
        "note: the image has neither an entrypoint nor a command: no command specified "
        "| set ENTRYPOINT or CMD, or name a command whenever it is run",
    ),
    "accounts behind links that lead in a circle": (
        {**APP, "etc/passwd": symlink("group"), "etc/group": symlink("passwd")},
        {"user": "web"},
        'error: USER: user "web" is not in /etc/passwd of the image | add it with RUN adduser, or give its number',
    ),
    "a health check without its program": (
        APP,
        {"healthcheck": Healthcheck(("CMD", "curl", "-f", "http://localhost"))},
        f'warning: health check "curl": executable file not found in PATH ({PATH}): the container would be unhealthy '
        "| COPY or install it, or correct the name",
    ),
    "a health check without a shell": (
        APP,
        {"healthcheck": Healthcheck(("CMD-SHELL", "curl -f http://localhost || exit 1"))},
        'warning: the health check "curl -f http://localhost || exit 1" is in shell form, and there is no /bin/sh in '
        "the "
        'image: the container would be unhealthy | write it in exec form, ["…"], or use a base that has a shell',
    ),
    "a health check whose program the shell does not find": (
        {**APP, **SHELL},
        {"healthcheck": Healthcheck(("CMD-SHELL", "curl -f http://localhost || exit 1"))},
        f'warning: health check (shell form) "curl": not found in PATH ({PATH}): the container would be unhealthy '
        "| COPY or install it, or correct the name",
    ),
}


@pytest.mark.parametrize(("items", "fields", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_mend(items: dict[str, Item], fields: dict[str, Any], expected: str) -> None:
    assert say(items, **fields) == [expected]


FINE: dict[str, tuple[dict[str, Item], dict[str, Any]]] = {
    "relative to the working directory": (
        {"srv/app": executable(STATIC)},
        {"entrypoint": ("./app",), "working_dir": "/srv"},
    ),
    "a closed directory of PATH that has nothing of that name": (
        {**APP, "opt": directory(mode=0o700), "bin/app": executable(STATIC)},
        {"entrypoint": ("app",), "env": ("PATH=/opt:/bin",), "user": "7:7"},
    ),
    "a working directory that is there": ({**APP, "data": directory()}, {"working_dir": "/data"}),
    "through links": (
        {
            "app": symlink("usr/bin/app"),
            "usr/bin/app": symlink("../lib/app-1.2"),
            "usr/lib/app-1.2": executable(STATIC),
        },
        {},
    ),
    "through a directory that is a link": (
        {"bin": symlink("usr/bin"), "usr/bin/app": executable(STATIC)},
        {"entrypoint": ("/bin/app",)},
    ),
    "second in PATH": ({"opt/app": executable(STATIC)}, {"entrypoint": ("app",), "env": ("PATH=/bin:/opt",)}),
    "the first that may be executed in PATH": (
        {"bin/app": file(STATIC), "opt/app": executable(STATIC)},
        {"entrypoint": ("app",), "env": ("PATH=/bin:/opt",)},
    ),
    "the user's own": ({"app": executable(STATIC, mode=0o500, uid=7)}, {"user": "7"}),
    "root's group, which a number without a line in passwd has": (
        {"app": executable(STATIC, mode=0o750)},
        {"user": "7"},
    ),
    "the group's": ({"app": executable(STATIC, mode=0o010, gid=9)}, {"user": "7:9"}),
    "a supplementary group's": (
        {
            "app": executable(STATIC, mode=0o010, gid=9),
            "etc/passwd": b"web:x:7:7::/:/\n",
            "etc/group": b"others:x:9:a,web\n",
        },
        {"user": "web"},
    ),
    "an access control list": (
        {"app": file(STATIC, mode=0o700, xattrs={"system.posix_acl_access": b"\2\0\0\0"})},
        {"user": "7"},
    ),
    "root passes closed directories": (
        {"root": directory(mode=0), "root/app": executable(STATIC)},
        {"entrypoint": ("/root/app",)},
    ),
    "a number that passwd does not know": (APP, {"user": "65532:65532"}),
    "a missing working directory, which is made": (APP, {"working_dir": "/data"}),
    "in a volume": ({}, {"volumes": ("/app",)}),
    "in /proc": ({}, {"entrypoint": ("/proc/self/exe",)}),
    "a script": ({"app": script("#!/bin/sh\n"), **SHELL}, {}),
    "a script with an argument": ({"app": script("#! /bin/sh -e\n"), **SHELL}, {}),
    "a text that the shell runs": ({"app": script("echo hi\n"), **SHELL}, {"entrypoint": ("/bin/sh", "-c", "/app")}),
    "words that the shell knows": (SHELL, {"entrypoint": ("/bin/sh", "-c", "cd /tmp && serve")}),
    "lines that are more than a command": (SHELL, {"entrypoint": ("/bin/sh", "-c", "serve; other")}),
    "variables": (SHELL, {"entrypoint": ("/bin/sh", "-c", "$APP --port 80")}),
    "assignments": (SHELL, {"entrypoint": ("/bin/sh", "-c", "PATH=/opt serve")}),
    "a login shell": (SHELL, {"entrypoint": ("/bin/sh", "-lc", "serve")}),
    "busybox's own programs": (
        {"bin/busybox": executable(STATIC), "bin/sh": symlink("busybox")},
        {"entrypoint": ("/bin/sh", "-c", "httpd -f")},
    ),
    "no health check": (APP, {"healthcheck": Healthcheck(("NONE",))}),
    "a health check": (APP, {"healthcheck": Healthcheck(("CMD", "/app", "health"))}),
    "an init program": ({**APP, "sbin/tini": executable(STATIC)}, {"entrypoint": ("/sbin/tini", "--", "/app")}),
    "an init program with options": ({"sbin/tini": executable(STATIC)}, {"entrypoint": ("/sbin/tini", "-g", "/app")}),
}


@pytest.mark.parametrize(("items", "fields"), FINE.values(), ids=FINE)
def test_nothing_is_said_where_nothing_is_certain(items: dict[str, Item], fields: dict[str, Any]) -> None:
    assert say(items, **fields) == []


@pytest.mark.parametrize(
    ("machine", "bits", "platform", "expected"),
    [
        (EM_AARCH64, 64, "linux/arm64", []),
        (EM_ARM, 32, "linux/arm/v7", []),
        (EM_386, 32, "linux/386", []),
        (EM_ARM, 32, "linux/arm64", ["WrongArchitecture"]),
        (EM_AARCH64, 64, "linux/riscv64", ["WrongArchitecture"]),
        (999, 64, "linux/amd64", ["WrongArchitecture"]),
        (EM_AARCH64, 64, "windows/amd64", []),
    ],
)
def test_processors_and_platforms(machine: int, bits: int, platform: str, expected: list[str]) -> None:
    app = {"app": executable(make_elf(ElfSpec(machine=machine, bits=bits)))}
    assert rules(look(app, platform=platform, entrypoint=("/app",))) == expected


def test_a_rule_can_be_skipped() -> None:
    assert look({}, entrypoint=("/app",), skip=["ProgramNotFound"]) == []


def test_errors_come_first_and_every_finding_names_a_known_rule() -> None:
    found = look({"app": executable(make_elf(ElfSpec(machine=EM_386, bits=32)))}, entrypoint=("/app",), user="web")
    assert [one.severity for one in found] == ["error", "warning"]
    assert set(rules(found)) <= RULES.keys()


def test_the_place_is_that_of_the_instruction_which_brought_the_file() -> None:
    source = SourceFile("Dockerfile", "FROM x\nCOPY app /\nENTRYPOINT /app\n")
    locations = {"layer 1": Location(source, 2), "entrypoint": Location(source, 3)}
    config = ContainerConfig(entrypoint=("/app",))
    layers = [changes_of({"etc/os-release": b""}), changes_of({"app": file(STATIC)})]
    (mode,) = check_image(config, Platform("linux", "amd64"), Tree(layers), locations=locations)
    assert mode.location == Location(source, 2)
    (missing,) = check_image(config, Platform("linux", "amd64"), Tree(), locations=locations)
    assert missing.location == Location(source, 3)


def test_an_image_of_no_layers_is_looked_at_too() -> None:
    assert rules(look(entrypoint=("/app",))) == ["ProgramNotFound"]
