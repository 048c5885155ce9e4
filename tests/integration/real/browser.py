"""Debian's Firefox without a display, driven by the protocol that it has built in: no driver program, no package.

Spec: Marionette's protocol (length, colon, JSON: `[0, id, command, parameters]` and `[1, id, error, result]`); the
commands are WebDriver's.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["RealBrowser", "real_browser"]

START_SECONDS = 90
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver names an element."""
PREFERENCES = {
    "marionette.port": 0,
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "network.proxy.type": 0,
}
"""Nothing of its own: no first page, no reports, no look at the network."""


class RealBrowser:
    """One window."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._number = 0
        greeting = self._receive()
        assert greeting["marionetteProtocol"] == 3, greeting
        self("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})

    def __call__(self, command: str, **parameters: Any) -> Any:
        """What a command answers."""
        self._number += 1
        message = json.dumps([0, self._number, command, parameters])
        self._connection.sendall(f"{len(message.encode())}:{message}".encode())
        _, number, error, result = self._receive()
        assert number == self._number
        assert error is None, f"{command}: {error['error']}: {error['message']}"
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._take()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._take()
        message, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(message)

    def _take(self) -> None:
        data = self._connection.recv(1 << 20)
        assert data, "the browser has gone"
        self._buffer += data

    def open(self, url: str) -> None:
        """Goes to a page and waits until it is loaded."""
        self("WebDriver:Navigate", url=url)

    def script(self, source: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return self("WebDriver:ExecuteScript", script=source, args=list(arguments))

    def element(self, selector: str) -> str:
        """The first element that a CSS selector means."""
        found: dict[str, str] = self("WebDriver:FindElement", using="css selector", value=selector)
        return found[ELEMENT]

    def click(self, selector: str) -> None:
        """A click with the mouse, into the middle of what is visible of an element."""
        self("WebDriver:ElementClick", id=self.element(selector))

    def press(self, key: str) -> None:
        """A key, to whatever has the focus."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def texts(self, selector: str) -> list[str]:
        """The text of every element that a CSS selector means."""
        found: list[str] = self.script(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector
        )
        return found

    def wait(self, source: str, *arguments: Any, seconds: float = 20) -> None:
        """Waits until a function body returns something true."""
        end = time.monotonic() + seconds
        while not self.script(source, *arguments):
            assert time.monotonic() < end, f"still not: {source}"
            time.sleep(0.05)

    def screenshot(self, target: Path) -> Path:
        """What the window shows, as a PNG."""
        shown = self("WebDriver:TakeScreenshot", full=False)
        target.write_bytes(base64.b64decode(shown))
        return target


@contextmanager
def real_browser(directory: Path) -> Iterator[RealBrowser]:
    """A browser with a new profile in `directory`, gone with everything that it started when the block ends."""
    profile = directory / "profile"
    profile.mkdir(parents=True)
    (profile / "user.js").write_text(
        "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "MOZ_HEADLESS": "1",
        "MOZ_HEADLESS_WIDTH": "1200",
        "MOZ_HEADLESS_HEIGHT": "900",
        "MOZ_DISABLE_CONTENT_SANDBOX": "1",
        "MOZ_CRASHREPORTER_DISABLE": "1",
    }
    command = ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with socket.create_connection(("127.0.0.1", _port(profile, process, directory)), timeout=60) as connection:
            yield RealBrowser(connection)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: nothing else is in the group
        process.wait()


def _port(profile: Path, process: subprocess.Popen[bytes], directory: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while True:
        with suppress(FileNotFoundError, ValueError):
            return int((profile / "MarionetteActivePort").read_text())
        said = (directory / "log").read_text(errors="replace")
        assert process.poll() is None, f"firefox-esr ended: {said[-2000:]}"
        assert time.monotonic() < end, f"firefox-esr does not listen: {said[-2000:]}"
        time.sleep(0.1)
