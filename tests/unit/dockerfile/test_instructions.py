"""Each instruction: what it says, and what is refused. The text of faults is in fixtures/dockerfiles-invalid."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Device,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Run,
    RunCommand,
    ScriptFile,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
    run_command,
)
from pyoci.dockerfile.words import Word
from tests.unit.dockerfile.reading import first, messages, read


def test_copy() -> None:
    copy = first(
        Copy,
        "COPY --from=build --chown=1:2 --chmod=755 --link --parents=TRUE --exclude=a --exclude=!b x y/ /z",
    )
    assert [word.text for word in copy.sources] == ["x", "y/"]
    assert copy.destination.text == "/z"
    assert copy.from_ is not None and copy.from_.text == "build"
    assert copy.chown is not None and copy.chown.text == "1:2"
    assert copy.chmod is not None and copy.chmod.text == "755"
    assert (copy.link, copy.parents) == (True, True)
    assert [word.text for word in copy.exclude] == ["a", "!b"]


def test_copy_defaults() -> None:
    copy = first(Copy, "COPY a b")
    assert (copy.from_, copy.chown, copy.chmod, copy.link, copy.parents, copy.exclude) == (
        *(None, None, None),
        *(False, False, ()),
    )


def test_add() -> None:
    add = first(Add, "ADD --checksum=sha256:ab --keep-git-dir --unpack=false --link=false https://e.org/x /y")
    assert add.checksum is not None and add.checksum.text == "sha256:ab"
    assert (add.keep_git_dir, add.unpack, add.link) == (True, False, False)
    plain = first(Add, "ADD a b")
    assert (plain.keep_git_dir, plain.unpack) == (None, None)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a b"', "a b"),
        ('"a\\"b"', 'a"b'),
        ("'a\\'b'", "a'b"),
        ("a\\ b", "a b"),
        ("a'b c'd", "ab cd"),
        ('"$x"', "$x"),
        ("\\$x", "$x"),
        ("a\\\\b", "a\\b"),
    ],
)
def test_quotes_and_escapes_in_flags_are_gone(written: str, value: str) -> None:
    copy = first(Copy, f"COPY --chown={written} a b")
    assert copy.chown is not None
    assert copy.chown.text == value


def test_a_quoted_name_of_a_flag_is_that_flag() -> None:
    copy = first(Copy, "COPY '--chown=a' --ch\"mod\"=1 'c d'")
    assert [word.text for word in copy.sources] == ["'--chown=a'", '--ch"mod"=1', "'c"]
    assert first(Copy, 'COPY --ch"own"=a b c').chown == Word("a", copy.location)


def test_two_dashes_end_the_flags() -> None:
    copy = first(Copy, "COPY -- --from=x /y")
    assert [word.text for word in copy.sources] == ["--from=x"]


def test_heredocs_among_sources() -> None:
    copy = first(Copy, "COPY a <<X.txt <<-'Y' b /c/\n$one\nX.txt\n\t\t$two\n\tY\n")
    assert [word.text for word in copy.sources] == ["a", "b"]
    assert [(h.name, h.text, h.expand, h.strip_tabs) for h in copy.heredocs] == [
        ("X.txt", "$one\n", True, False),
        ("Y", "$two\n", False, True),
    ]


@pytest.mark.parametrize(
    ("line", "name", "expand"),
    [
        ("<<EOF", "EOF", True),
        ('<<"EOF"', "EOF", False),
        ("<<E'O'F", "EOF", False),
        ("<<$x", "$x", True),
        ("<< EOF", "EOF", True),
    ],
)
def test_names_of_heredocs(line: str, name: str, expand: bool) -> None:
    run = first(Run, f"RUN cat {line}\ntext\n{name}\n")
    assert [(h.name, h.expand) for h in run.heredocs] == [(name, expand)]


def test_a_source_that_begins_like_a_heredoc_is_a_path() -> None:
    copy = first(Copy, "COPY <<'Q x /y")
    assert [word.text for word in copy.sources] == ["<<'Q", "x"]


@pytest.mark.parametrize("line", ["<<-", "a<<EOF", "<<<word", "'<<EOF'", "$((1<<3))", '"open <<EOF', "<<", "<<<"])
def test_what_is_no_heredoc(line: str) -> None:
    assert first(Run, f"RUN cat {line}").heredocs == ()


def test_the_command_of_a_run() -> None:
    assert run_command(first(Run, "RUN echo  a")) == RunCommand("shell", ("echo  a",))
    assert run_command(first(Run, 'RUN ["a", "b"]')) == RunCommand("exec", ("a", "b"))
    assert run_command(first(Run, "RUN")) == RunCommand("shell", ("",))


def test_a_heredoc_alone_is_the_shells_input() -> None:
    assert run_command(first(Run, "RUN <<-EOF\n\ta\n\tb\nEOF\n")) == RunCommand("shell", ("a\nb\n",))


def test_a_heredoc_with_an_interpreter_is_a_file() -> None:
    command = run_command(first(Run, "RUN <<run.py\n#!/usr/bin/python3\nprint(1)\nrun.py\n"))
    script = ScriptFile("run.py", "#!/usr/bin/python3\nprint(1)\n")
    assert command == RunCommand("shell", ("/dev/pipes/run.py",), script)


def test_a_heredoc_of_a_command_is_put_back_behind_it() -> None:
    command = run_command(first(Run, "RUN a <<X && b <<-Y\n1\nX\n\t2\n\tY\n"))
    assert command == RunCommand("shell", ("a <<X && b <<-Y\n1\nX\n\t2\nY",))


def test_run_flags() -> None:
    run = first(Run, "RUN --network=none --security=insecure --device=v.com/c=d,required --device=name=e true")
    assert (run.network, run.security) == ("none", "insecure")
    assert run.devices == (Device("v.com/c=d", required=True), Device("e"))


@pytest.mark.parametrize(
    ("value", "device"),
    [
        ("v/c=d", Device("v/c=d")),
        ("v/c=d,required=true", Device("v/c=d", required=True)),
        ("required,v/c", Device("v/c", required=True)),
        ("name=v/c=d,required=0", Device("v/c=d")),
    ],
)
def test_devices(value: str, device: Device) -> None:
    assert first(Run, f"RUN --device={value} x").devices == (device,)


@pytest.mark.parametrize("value", ["a,b", "a,name=b", "name=a,name=b", "required", "a,required=maybe", ""])
def test_what_is_no_device(value: str) -> None:
    (message,) = messages(f"FROM x\nRUN --device={value} x\n")
    assert "device" in message or message == 'required is true or false, not "maybe"'


@pytest.mark.parametrize(
    ("text", "form", "arguments"),
    [
        ('CMD ["a", "b c"]', "exec", ("a", "b c")),
        ("CMD a 'b c'", "shell", ("a 'b c'",)),
        ('CMD ["a"] # note', "shell", ('["a"] # note',)),
        ("CMD []", "exec", ()),
        ("CMD", "shell", ("",)),
        ('CMD ["\\u0041\\ud800"]', "exec", ("A\ufffd",)),
        ("CMD ['a']", "shell", ("['a']",)),
        ('CMD ["a",]', "shell", ('["a",]',)),
        ('CMD [["a"], "b"] x', "shell", ('[["a"], "b"] x',)),
    ],
)
def test_forms_of_a_command(text: str, form: str, arguments: tuple[str, ...]) -> None:
    cmd = first(Cmd, text)
    assert (cmd.form, cmd.arguments) == (form, arguments)
    entrypoint = first(Entrypoint, text.replace("CMD", "ENTRYPOINT"))
    assert (entrypoint.form, entrypoint.arguments) == (form, arguments)


def test_env_and_label() -> None:
    env = first(Env, "ENV a=1 'b c'=\"d e\" f=g\\ h i= j=k=l")
    pairs = [("a", "1"), ("'b c'", '"d e"'), ("f", "g\\ h"), ("i", ""), ("j", "k=l")]
    assert [(pair.name.text, pair.value.text) for pair in env.pairs] == pairs
    assert not any(pair.legacy for pair in env.pairs)
    label = first(Label, "LABEL name  a value = with # all  ")
    assert [(p.name.text, p.value.text, p.legacy) for p in label.pairs] == [("name", "a value = with # all", True)]


def test_arg() -> None:
    arg = first(Arg, "ARG a b=1 c= 'd'=\"e f\"")
    found = [(d.name.text, d.default.text if d.default else None) for d in arg.definitions]
    assert found == [("a", None), ("b", "1"), ("c", ""), ("'d'", '"e f"')]


def test_arg_knows_the_place_of_names_and_defaults() -> None:
    arg = first(Arg, "ARG one two=2 three='3 4'")
    places = [(d.name.location.column, d.name.location.length) for d in arg.definitions]
    assert places == [(5, 3), (9, 3), (15, 5)]
    assert [(d.default.location.column, d.default.location.length) for d in arg.definitions if d.default] == [
        *((13, 1), (21, 5)),
    ]


def test_env_knows_the_place_of_names_and_values() -> None:
    env = first(Env, "ENV a=1 bc='d e'")
    assert [(p.name.location.column, p.value.location.column, p.value.location.length) for p in env.pairs] == [
        *((5, 7, 1), (9, 12, 5)),
    ]
    legacy = first(Env, "ENV name  the value").pairs[0]
    assert (legacy.name.location.length, legacy.value.location.column, legacy.value.location.length) == (4, 11, 9)


def test_expose_is_sorted_as_written() -> None:
    expose = first(Expose, "EXPOSE 9000 80/udp 80 $p 7-8")
    assert [word.text for word in expose.ports] == ["$p", "7-8", "80", "80/udp", "9000"]


def test_volume_workdir_user_shell_stopsignal_maintainer() -> None:
    assert [word.text for word in first(Volume, 'VOLUME ["/a b", " /c "]').paths] == ["/a b", "/c"]
    assert [word.text for word in first(Volume, "VOLUME /a /b").paths] == ["/a", "/b"]
    assert first(Workdir, "WORKDIR  /a b ").path.text == "/a b"
    assert first(User, "USER app:staff").user.text == "app:staff"
    assert first(Shell, 'SHELL ["a", "-c"]').arguments == ("a", "-c")
    assert first(Stopsignal, "STOPSIGNAL rtmin+3").signal.text == "rtmin+3"
    assert first(Maintainer, "MAINTAINER A B <a@b.c>").name == "A B <a@b.c>"


def test_healthcheck() -> None:
    check = first(Healthcheck, "HEALTHCHECK --interval=1m30s --timeout=0 --start-period=.5s --retries=3 cmd curl x")
    assert check.test == ("CMD-SHELL", "curl x")
    assert (check.interval, check.timeout, check.start_period, check.start_interval) == (90 * 10**9, 0, 5 * 10**8, 0)
    assert check.retries == 3
    assert first(Healthcheck, 'HEALTHCHECK CMD ["a", "b"]').test == ("CMD", "a", "b")
    assert first(Healthcheck, "HEALTHCHECK --interval=1ms CMD x").interval == 1_000_000
    assert first(Healthcheck, "HEALTHCHECK none").test == ("NONE",)


@pytest.mark.parametrize(
    "keyword", ["ARG", "ENV", "LABEL", "USER", "WORKDIR", "EXPOSE", "VOLUME", "STOPSIGNAL", "SHELL"]
)
def test_no_instruction_drops_a_flag(keyword: str) -> None:
    assert f"unknown flag --flag for {keyword}" in messages(f'FROM x\n{keyword} --flag ["80"]\n')


@pytest.mark.parametrize("text", ["many", "+-3", "-+3", "1_0", "2147483648", "9" * 5000, "1.5", "", " 1", "٣"])
def test_what_is_no_number_of_retries(text: str) -> None:
    found = read_retries(text)
    assert found == 0 if not text else found == [f'--retries is a number, not "{text}"']


def read_retries(text: str) -> int | list[str]:
    instruction = f"HEALTHCHECK --retries='{text}' CMD x"
    return messages(f"FROM x\n{instruction}\n") if text else first(Healthcheck, instruction).retries


def test_numbers_of_retries() -> None:
    assert [first(Healthcheck, f"HEALTHCHECK --retries={n} CMD x").retries for n in ("+3", "-0", "2147483647")] == [
        *(3, 0, 2**31 - 1),
    ]


def test_the_json_form_of_a_copy_may_hold_anything() -> None:
    copy = first(Copy, 'COPY ["a b", "#c", "/d"]')
    assert [word.text for word in copy.sources] == ["a b", "#c"]


@pytest.mark.parametrize(
    "text", ['["a", [], "b"]', '["a", [["b"]], {"c": [1, {}]}]', "[1.5e3]", "[null]", '["a", true]']
)
def test_json_that_is_not_all_strings_is_refused(text: str) -> None:
    assert messages(f"FROM x\nCMD {text}\n") == ["the JSON form takes strings only"]


NO_JSON = [
    *('[{"a": 1]}', '["a"', "[,]", '["a" "b"]', "[1,]", '["a\x01"]', '["a]', '["\\x"]', "[01]", "[1e999]", "[NaN]"),
    *('{"a": "b"}', '[{"a"}]', '[{"a": "b",}]', '[{1: "b"}]', "[tru]", '["a"]]', '["a":"b"]', "[1 2]", "[-]", "[[]"),
    "[" * 20_000,
]


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: str(text)[:12])
def test_what_is_no_json_is_the_shell_form(text: str) -> None:
    cmd = first(Cmd, f"CMD {text}")
    assert (cmd.form, cmd.arguments) == ("shell", (text,))


def test_bytes_that_are_not_utf8_are_kept() -> None:
    run = read(b"FROM x\nRUN echo \xff\n").stages[0].instructions[0]
    assert isinstance(run, Run)
    assert run.arguments[0].encode("utf-8", "surrogateescape") == b"echo \xff"
