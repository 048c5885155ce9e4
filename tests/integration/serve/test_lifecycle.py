"""A server from start to end: signals, what is left, what is refused, and memory."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from pyoci.reference import parse_reference
from pyoci.store import Store
from tests.integration.registry.command_line import CommandLine
from tests.integration.serve.world import ServeProcess, serve_process
from tests.registry_world import sample_image

GIB = 1 << 30
LIMIT = 48 << 20
"""What a blob of any size may add to the server."""


def left_over(directory: Path) -> list[str]:
    return [path.name for path in (directory / "store" / "tmp").iterdir() if path.suffix != ".lock"]


def half_an_upload(server: ServeProcess) -> socket.socket:
    """A connection in the middle of a body."""
    host, _, port = server.address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    digest = hashlib.sha256(b"").hexdigest()
    target = f"/v2/app/blobs/uploads/?digest=sha256:{digest}"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    connection.sendall(head.encode() + bytes(3 << 20))
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_second_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with serve_process(CommandLine(tmp_path), "--write") as server, half_an_upload(server):
        client = http.client.HTTPConnection(server.address, timeout=20)
        with contextlib.closing(client):
            client.request("POST", "/v2/app/blobs/uploads/")
            client.getresponse().read()
            deadline = time.monotonic() + 20
            while not any(path.stat().st_size for path in (tmp_path / "store" / "tmp").glob("upload.*")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert len(left_over(tmp_path)) == 2
            status, seconds = server.end(number)
    assert status == 0
    assert seconds < 1
    assert left_over(tmp_path) == []
    assert server.log.read_text() == ""


def test_a_registry_that_never_answers_does_not_hold_it(tmp_path: Path) -> None:
    image = sample_image(1000)
    pyoci = CommandLine(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with Store(tmp_path / "store") as store:
            for piece in (image.root, image.config):
                store.put(piece, image.content.open(piece))
            store.tags.set(parse_reference("app:1"), image.root)
            store.add_origin(image.layers[0].digest, f"127.0.0.1:{silent.getsockname()[1]}/app")
        with serve_process(pyoci) as server:
            host, _, port = server.address.partition(":")
            with socket.create_connection((host, int(port)), timeout=20) as client:
                client.sendall(f"GET /v2/app/blobs/{image.layers[0].digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                silent.settimeout(20)
                asked, _ = silent.accept()
                with asked:
                    assert asked.recv(1)
                    status, seconds = server.end()
    assert status == 0
    assert seconds < 1.5  # the HTTP library has been imported, which takes longer to take down on a busy machine


def test_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    with serve_process(pyoci, "--write") as server, half_an_upload(server):
        time.sleep(0.3)
        refused = pyoci("prune")
        assert refused.returncode == 2
        assert "another pyoci is using the store" in refused.stderr
        server.end(signal.SIGKILL)
    assert len(left_over(tmp_path)) == 1
    pyoci.ok("prune")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delete"], "error: deleting needs writing\nhint: add --write\n"),
        (["--user", "joe"], "error: --user needs --password-stdin\n"),
        (["--listen", "nowhere:x"], 'error: cannot listen on "nowhere:x"\n'),
        (["--htpasswd", "missing"], "missing: No such file or directory\n"),
        (["--tls-cert", "x"], "error: TLS needs a certificate and its key\n"),
        (["oci-layout:missing", "--write"], "error: a layout is served for reading\n"),
        (["app:1"], 'error: "app:1" cannot be served\n'),
    ],
)
def test_what_is_refused_on_the_command_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = CommandLine(tmp_path)("serve", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_layout_that_is_none(tmp_path: Path) -> None:
    done = CommandLine(tmp_path)("serve", "--listen=127.0.0.1:0", "oci-layout:missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "missing does not exist" in done.stderr


def test_a_server_that_listens_already(tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    with serve_process(pyoci) as server:
        done = pyoci("serve", "--listen", server.address)
        assert done.returncode == 2
        assert f"cannot listen on {server.address}: Address already in use" in done.stderr


def peak(server: ServeProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def test_memory_does_not_grow_with_a_blob(tmp_path: Path, record_property: object) -> None:
    """One blob of a gibibyte, sent at once, sent in chunks, and fetched by four clients that are slow at first."""
    piece = bytes(1 << 20)
    digest = hashlib.sha256()
    for _ in range(GIB >> 20):
        digest.update(piece)
    name = f"sha256:{digest.hexdigest()}"
    with serve_process(CommandLine(tmp_path), "--write") as server:
        http_client(server, "GET", "/v2/")
        before = peak(server)
        started = time.monotonic()
        body = (piece for _ in range(GIB >> 20))
        answer = http_client(
            server, "POST", f"/v2/app/blobs/uploads/?digest={name}", body, {"Content-Length": str(GIB)}
        )
        assert answer == 201
        push_seconds = time.monotonic() - started
        pushed = peak(server) - before
        started = time.monotonic()
        clients = [http.client.HTTPConnection(server.address, timeout=60) for _ in range(4)]
        with contextlib.ExitStack() as stack:
            for client in clients:
                stack.callback(client.close)
                client.request("GET", f"/v2/app/blobs/{name}")
            answers = [client.getresponse() for client in clients]
            time.sleep(1)
            assert sum(len(answers[0].read(1 << 20)) for _ in range(GIB >> 20)) == GIB
        pull_seconds = time.monotonic() - started - 1
        pulled = peak(server) - before
        assert server.end()[0] == 0
    shutil.rmtree(tmp_path / "store")
    assert pushed < LIMIT
    assert pulled < LIMIT
    if callable(record_property):
        speeds = f"push {GIB / push_seconds / 1e6:.0f} MB/s, pull {GIB / pull_seconds / 1e6:.0f} MB/s"
        memory = json.dumps({"before": before >> 20, "push": pushed >> 20, "pull": pulled >> 20})
        record_property("measured", f"a blob of 1 GiB: {speeds}; MiB: {memory}")


def http_client(
    server: ServeProcess, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> int:
    client = http.client.HTTPConnection(server.address, timeout=120)
    with contextlib.closing(client):
        client.request(method, path, body, headers or {})  # type: ignore[arg-type]
        answer = client.getresponse()
        answer.read()
        return answer.status
