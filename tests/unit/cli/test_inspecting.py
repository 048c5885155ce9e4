"""What looks into images, as it is typed and as it answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.cli.main import main
from pyoci.cli.templates import filled
from pyoci.content.layout import DirectoryLayout
from pyoci.errors import UsageError
from pyoci.image import ContainerConfig, History, ImageConfig
from tests.builders import AMD64, Item, device, directory, file, make_image, make_layer, removed, symlink

HOSTILE = "srv/\x1b]0;x\x07\nname\udcff"
TOLD = (
    History(created_by="COPY . / # buildkit", created="1970-01-01T00:00:00Z", comment="buildkit.dockerfile.v0"),
    History(created_by="ENV A=1", empty_layer=True, created="2024-05-01T10:00:00Z"),
    History(created_by="RUN a very long instruction\twith a tab that goes on \x1b[31m", created=None),
)
LAYERS: tuple[dict[str, Item], ...] = (
    {
        "etc/passwd": b"root:x:0:0::/:/bin/sh\nweb:x:33:33::/:\n",
        "etc/group": b"root:x:0:\n",
        "big": b"x" * 1500,
        "dev/null": device("char", 1, 3, mode=0o666),
    },
    {
        "big": removed(),
        "srv": directory(uid=33, gid=33),
        HOSTILE: b"1",
        "srv/link": symlink("\x1b[31m"),
        "end": symlink("srv"),
    },
)


def laid_out(path: Path, *layers: dict[str, Item], config: ImageConfig) -> str:
    content, image = make_image([make_layer(layer) for layer in layers], config)
    layout = DirectoryLayout(path)
    for part in (image.manifest.value.config, *image.manifest.value.layers, image.manifest.descriptor()):
        layout.put(part, content.open(part))
    layout.add_roots([image.manifest.descriptor()])
    return f"oci-layout:{path}"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an image."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    return laid_out(tmp_path / "app", *LAYERS, config=ImageConfig(AMD64, ContainerConfig(env=("A=1",)), history=TOLD))


@pytest.fixture
def other(tmp_path: Path) -> str:
    upper = {**LAYERS[1], "srv/link": symlink("elsewhere"), "etc/passwd": file(b"root:x:0:0::/:/bin/sh\n", mode=0o600)}
    config = ImageConfig(AMD64, ContainerConfig(env=("A=\x1b2",), cmd=("x",)), history=TOLD)
    return laid_out(tmp_path / "other", LAYERS[0], upper, config=config)


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(words) == status
    out, err = capsys.readouterr()
    assert not {sign for sign in out + err if ord(sign) < 32 and sign not in "\n\t"}
    return out if status == 0 or not err else err


def test_history_is_docker_s_table(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = said(capsys, "history", app)
    identifier = table.splitlines()[1][:12]
    assert table == (
        "IMAGE          CREATED       CREATED BY                                      SIZE     COMMENT\n"
        f"{identifier}   N/A           RUN a very long instruction with a tab that …   1B\n"
        "<missing>      2 years ago   ENV A=1                                         0B\n"
        "<missing>      1970-01-01    COPY . / # buildkit                             1.55kB   buildkit.dockerfile.v0\n"
    ).replace("2 years ago", table.splitlines()[2][15:26])
    whole = said(capsys, "history", "--no-trunc", "--human=false", app).splitlines()
    assert whole[1].startswith("sha256:")
    assert "with a tab that goes on \\x1b[31m   1" in whole[1]
    assert whole[3].split()[-2:] == ["1548", "buildkit.dockerfile.v0"]
    assert said(capsys, "history", "-q", app) == f"{identifier}\n<missing>\n<missing>\n"


def test_history_in_other_forms(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(said(capsys, "history", "--format", "json", app).splitlines()[-1])
    assert first["CreatedBy"] == "COPY . / # buildkit"
    assert (first["Layer"], first["SizeBytes"], first["SizeIsCompressed"]) == (0, 1548, False)
    assert (
        said(capsys, "history", "--format", "{{.Size}}|{{.Comment}}", app)
        == "1B|\n0B|\n1.55kB|buildkit.dockerfile.v0\n"
    )
    assert said(capsys, "history", "--format", "table {{.Size}}\\t{{.Layer}}", app).splitlines()[0] == "SIZE     LAYER"
    assert "there is no field" in said(capsys, "history", "--format", "{{.Sise}}", app, status=2)


def test_templates_do_what_they_say_and_refuse_the_rest() -> None:
    assert (
        filled("{{.A}} {{ json .A }} {{json .}}\\t.", {"A": 'x"\x1b'})
        == 'x"\\x1b "x\\"\\u001b" {"A": "x\\"\\u001b"}\t.'
    )
    for template in ("{{range .}}", "{{.}}", "{{.A | upper}}", "{{.B}}"):
        with pytest.raises(UsageError):
            filled(template, {"A": ""})


def test_files_are_listed(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "ls", app).split() == ["dev", "end", "etc", "srv"]
    assert said(capsys, "ls", app, "/end") == "\\x1b]0;x\\x07\\x0aname\\xff\nlink\n"
    assert said(capsys, "ls", "-l", app, "/srv") == (
        "-rw-r--r--  root  root  1  1970-01-01 00:00  \\x1b]0;x\\x07\\x0aname\\xff\n"
        "lrwxrwxrwx  root  root  0  1970-01-01 00:00  link -> \\x1b[31m\n"
    )
    assert (
        said(capsys, "ls", "-l", "--layer", app, "/end")
        == "1  lrwxrwxrwx  root  root  0  1970-01-01 00:00  /end -> srv\n"
    )
    assert said(capsys, "ls", "-n", app, "dev/null") == "crw-rw-rw-  0  0  1, 3  1970-01-01 00:00  /dev/null\n"
    assert said(capsys, "ls", "-R", app).splitlines()[:3] == ["/dev", "/dev/null", "/end"]
    long = said(capsys, "ls", "-lR", app).splitlines()
    assert "drwxr-xr-x  web   33       0  1970-01-01 00:00  /srv" in long
    (found,) = json.loads(said(capsys, "ls", "--json", app, "/etc/passwd"))
    assert (found["path"], found["mode"], found["layer"], found["size"]) == ("/etc/passwd", "0644", 0, 38)
    assert json.loads(said(capsys, "ls", "--json", app, "/srv"))[0]["path"] == f"/{HOSTILE}"


def test_what_ls_means_is_decided_by_what_is_written(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "ls", "-l", "registry.example/app", status=2) == (
        "error: --long is for files, and registry.example/app is a repository\n"
        "hint: write registry.example/app:TAG, or a path behind it\n"
    )
    missing = said(capsys, "ls", app, "/etc/pass", status=1)
    assert missing == f'error: "/etc/pass" is not in {app}\nhint: did you mean /etc/passwd?\n'
    with pytest.raises(SystemExit):
        main(["ls", "--help"])
    assert "A name alone is a repository" in capsys.readouterr().out.replace("\n", " ")
    assert said(capsys, "ls", "-h", status=2).startswith("error: the following arguments are required")


def test_cat_writes_the_bytes_as_they_are(app: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["cat", app, f"/{HOSTILE}", "etc/group"]) == 0
    assert capfdbinary.readouterr().out == b"1root:x:0:\n"
    assert main(["cat", app, "/srv"]) == 2
    assert capfdbinary.readouterr().out == b""


def test_differences_as_lines(app: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "diff", app, other) == (
        "Config\n"
        "  C  Env A  1 -> \\x1b2\n"
        '  A  Cmd  ["x"]\n'
        "\n"
        "Files\n"
        "  C  /etc/passwd  mode 0644 -> 0600, size 38 -> 22, content\n"
        "  C  /srv/link  link \\x1b[31m -> elsewhere\n"
        "\n"
        "files: 2 changed; packages: none; config: 2; 1 of 3 layers shared\n"
    )
    layers = said(capsys, "diff", "--layers", app, other).split("Layers\n")[1].splitlines()
    assert [line.split()[:2] for line in layers[:3]] == [["=", "0/0"], ["D", "1/-"], ["A", "-/1"]]
    assert said(capsys, "diff", app, app) == "the same image\n"


def test_the_status_of_diff_is_git_s(app: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", app, other]) == 0
    assert main(["diff", "--exit-code", app, other]) == 1
    capsys.readouterr()
    assert main(["diff", "--quiet", app, other]) == 1
    assert main(["diff", "--quiet", app, app]) == 0
    assert capsys.readouterr().out == ""
    assert main(["diff", app]) == 2


def test_differences_as_json_and_markdown(app: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "diff", "--json", app, other))
    assert found["different"] is True
    assert found["config"][0] == {"field": "Env", "key": "A", "before": "1", "after": "\x1b2"}
    passwd = found["files"][0]
    assert (passwd["path"], passwd["kind"], passwd["changed"]) == (
        "/etc/passwd",
        "changed",
        ["mode", "size", "content"],
    )
    assert (passwd["before"]["mode"], passwd["after"]["mode"]) == ("0644", "0600")
    assert [(each["before"], each["after"]) for each in found["layers"]] == [(0, 0), (1, None), (None, 1)]
    markdown = said(capsys, "diff", "--markdown", app, other)
    assert "| C | /srv/link | link &#92;x1b&#91;31m -&#62; elsewhere |\n" in markdown


def test_sizes_and_budgets(app: str, other: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, "size", app)
    assert text.startswith(f"{app}: 1.55kB in 2 layers, ")
    assert "1.5kB wasted, efficiency 3.2 %\n" in text
    assert "1.5kB   0       removed in 1   /big\n" in text
    assert said(capsys, "size", "--max-size", "1.4kB", app, status=1).endswith(
        "over budget: the size is 1.55kB, and --max-size is 1.4kB\n"
    )
    grown = said(capsys, "size", "--json", "--against", app, "--max-growth", "1%", other, status=1)
    found = json.loads(grown)
    assert found["budgets"] == [{"budget": "max-growth", "limit": "1%", "allowed": 15, "actual": 22}]
    assert (found["growth"]["before"], found["growth"]["after"], found["growth"]["percent"]) == (1549, 1571, 1.42)
    assert found["growth"]["paths"] == [{"path": "/etc/passwd", "before": 38, "after": 22}]
    assert (
        sum(layer["size"] for layer in found["layers"]) == found["visibleSize"] + found["wastedSize"] == found["size"]
    )
    markdown = said(capsys, "size", "--markdown", "--max-size", "1", app, status=1)
    assert "❌ over budget" in markdown
    assert "| 1.5kB | 0 | removed in 1 | /big |\n" in markdown
    assert said(capsys, "size", "--max-growth", "1%", app, status=2).startswith("error: a limit of growth needs")
    assert said(capsys, "size", "--top", "-1", app, status=2).startswith("error: invalid number -1 for --top")
    assert said(capsys, "size", "--top", "0", "--html", str(tmp_path / "r.html"), app)
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_inspect_shows_letters_and_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    labels = {"name": "grün", "steers": "\x9b31m\u202e\U000e0041\x1b[0m"}
    layout = laid_out(tmp_path / "image", config=ImageConfig(AMD64, ContainerConfig(labels=labels)))
    assert main(["copy", layout, "store:app:1"]) == 0
    capsys.readouterr()
    shown = said(capsys, "inspect", "app:1")
    assert "grün" in shown
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    assert json.loads(shown)[0]["Config"]["Labels"] == labels


def test_what_is_fetched_is_told_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from pyoci.cli.arguments import make_parser, working
    from pyoci.cli.commands import cat
    from pyoci.cli.progress import PlainReporter

    parser = make_parser("cat", "")
    cat.add_arguments(parser)
    arguments = parser.parse_args(["app", "/file"])
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal)
        with working(arguments) as options:
            assert isinstance(options.reporter, PlainReporter) == is_terminal
