from __future__ import annotations

import pytest

from pyoci.preflight.scripts import FirstLine, read_first_line
from tests.builders import Item, file, symlink
from tests.unit.preflight.looking import STATIC, executable, look, text_of

SH: dict[str, Item] = {"bin/sh": executable(STATIC)}
ENV: dict[str, Item] = {**SH, "usr/bin/env": executable(STATIC)}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"#!/bin/sh\necho", FirstLine("/bin/sh")),
        (b"#!/bin/sh", FirstLine("/bin/sh")),
        (b"#! \t/bin/sh \t\n", FirstLine("/bin/sh")),
        (b"#!/bin/sh -e -u\n", FirstLine("/bin/sh", "-e -u")),
        (b"#!/bin/sh\t-e\n", FirstLine("/bin/sh", "-e")),
        (b"#!/bin/sh\r\n", FirstLine("/bin/sh\r", carriage_return=True)),
        (b"#!/bin/sh -e\r\n", FirstLine("/bin/sh", "-e\r", carriage_return=True)),
        (b"#!\n", FirstLine()),
        (b"#!" + b"/x" * 127, FirstLine("/x" * 127, too_long=True)),
        (b"#!/bin/sh " + b"x" * 246, FirstLine("/bin/sh", "x" * 246)),
    ],
)
def test_the_first_line_is_read_as_linux_reads_it(head: bytes, expected: FirstLine) -> None:
    assert read_first_line(head) == expected


FAULTS: dict[str, tuple[dict[str, Item], bytes, str]] = {
    "CR LF": (
        SH,
        b"#!/bin/sh\r\necho hi\r\n",
        'error: entrypoint "/run.sh": its first line ends in CR LF, so that "/bin/sh\\r" is what is looked for '
        '| save it with LF line ends (in .gitattributes: "*.sh text eol=lf"), or RUN sed -i "s/\\r$//" on it',
    ),
    "CR LF behind env": (
        ENV,
        b"#!/usr/bin/env sh\r\n",
        'error: entrypoint "/run.sh": its first line ends in CR LF, so that "sh\\r" is what is looked for '
        '| save it with LF line ends (in .gitattributes: "*.sh text eol=lf"), or RUN sed -i "s/\\r$//" on it',
    ),
    "no such interpreter": (
        SH,
        b"#!/bin/bash\n",
        'error: entrypoint "/run.sh" wants the interpreter "/bin/bash", and there is no /bin/bash in the image '
        "| install bash, or begin the script with #!/bin/sh if that will do",
    ),
    "an interpreter in another place": (
        {**SH, "usr/local/bin/python3": executable(STATIC)},
        b"#!/usr/bin/python3 -u\n",
        'error: entrypoint "/run.sh" wants the interpreter "/usr/bin/python3", and there is no /usr/bin in the '
        "image | it is at /usr/local/bin/python3",
    ),
    "no env": (
        SH,
        b"#!/usr/bin/env sh\n",
        'error: entrypoint "/run.sh" wants the interpreter "/usr/bin/env", and there is no /usr in the image '
        "| install env, or use a base that has it",
    ),
    "env finds nothing": (
        ENV,
        b"#!/usr/bin/env python\n",
        f'error: entrypoint "/run.sh" wants the interpreter "python", and there is no python in PATH ({PATH}) in the '
        "image "
        "| name python3, or install python",
    ),
    "env with two words": (
        ENV,
        b"#!/usr/bin/env sh -e\n",
        'error: entrypoint "/run.sh": env looks for one program called "sh -e" | write #!/usr/bin/env -S sh -e',
    ),
    "env -S finds nothing": (
        ENV,
        b"#!/usr/bin/env -S A=1 node --quiet\n",
        f'error: entrypoint "/run.sh" wants the interpreter "node", and there is no node in PATH ({PATH}) in the image '
        "| install node, or use a base that has it",
    ),
    "no interpreter": (
        SH,
        b"#!\n",
        'error: entrypoint "/run.sh": its first line names no interpreter: exec format error '
        "| begin it with #!/bin/sh, for example",
    ),
    "an endless line": (
        SH,
        b"#!" + b"/x" * 200,
        'error: entrypoint "/run.sh": its first line is longer than Linux reads: exec format error '
        "| begin it with #!/bin/sh, for example",
    ),
    "an interpreter that may not be executed": (
        {"bin/sh": file(STATIC)},
        b"#!/bin/sh\n",
        'error: entrypoint "/run.sh": its interpreter "/bin/sh" may not be executed by user 0:0: its mode is 0644, its '
        "owner 0:0 | COPY --chmod=755 it, or chmod +x it in the stage that makes it",
    ),
    "itself": (
        {},
        b"#!/run.sh\n",
        'error: entrypoint "/run.sh": its interpreter "/run.sh": more than 5 scripts are each other\'s interpreters '
        "| name a program in the first line of the script",
    ),
}


@pytest.mark.parametrize(("items", "content", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_mend(items: dict[str, Item], content: bytes, expected: str) -> None:
    assert text_of(look({**items, "run.sh": executable(content)}, entrypoint=("/run.sh",))) == [expected]


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh -e\n",
        b"#!/usr/bin/env sh\n",
        b"#!/usr/bin/env -S sh -e\n",
        b"#!/usr/bin/env -i sh\n",
        b"#!/usr/bin/env A=1 sh\n",
        b"#!/usr/bin/env -S '$SHELL' x\n",
        b"#!/inner.sh\n",
        b"#!/link\n",
    ],
)
def test_what_runs_is_passed_over(content: bytes) -> None:
    items = {
        **ENV,
        "link": symlink("bin/sh"),
        "inner.sh": executable(b"#!/bin/sh\n"),
        "run.sh": executable(content),
    }
    assert look(items, entrypoint=("/run.sh",)) == []


@pytest.mark.parametrize(("scripts", "expected"), [(5, 0), (6, 1)])
def test_five_scripts_may_stand_one_behind_the_other(scripts: int, expected: int) -> None:
    """As Linux does it; the last one's interpreter is a program."""
    items = {f"s{number}": executable(f"#!/s{number - 1}\n".encode()) for number in range(2, scripts + 1)}
    items |= {"s1": executable(b"#!/bin/sh\n"), **SH}
    assert len(look(items, entrypoint=(f"/s{scripts}",))) == expected


def test_env_takes_a_path_as_it_is() -> None:
    items = {**ENV, "run.sh": executable(b"#!/usr/bin/env /opt/sh\n")}
    (said,) = text_of(look(items, entrypoint=("/run.sh",)))
    assert said.startswith('error: entrypoint "/run.sh": its interpreter "/opt/sh": there is no /opt in the image |')


def test_a_script_must_be_readable_for_its_interpreter() -> None:
    items = {**SH, "run.sh": executable(b"#!/bin/sh\n", mode=0o711)}
    assert text_of(look(items, entrypoint=("/run.sh",), user="9:9")) == [
        'error: entrypoint "/run.sh" is a script that user 9:9 may execute but not read: its mode is 0711, its owner '
        "0:0 "
        "| let its interpreter read it: COPY --chmod=755"
    ]
    assert look(items, entrypoint=("/run.sh",)) == []
