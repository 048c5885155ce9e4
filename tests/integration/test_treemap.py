"""The size report in a real browser: clicked through, walked through with the keyboard, and attacked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pyoci.inspection.treemap import treemap_html
from tests.integration.real.browser import RealBrowser, real_browser
from tests.integration.registry.command_line import CommandLine
from tests.unit.inspection.seen import sizes_of

pytestmark = [pytest.mark.needs_browser, pytest.mark.xdist_group("browser")]

DOWN, ENTER, ESCAPE = "\ue015", "\ue007", "\ue00c"
"""Keys as WebDriver numbers them."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBrowser]:
    with real_browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


def crumbs(browser: RealBrowser) -> list[str]:
    return browser.texts("#crumbs li")


def wait_for(browser: RealBrowser, *path: str) -> None:
    browser.wait(
        "const shown = [...document.querySelectorAll('#crumbs li')].map((one) => one.textContent);"
        " return JSON.stringify(shown) === arguments[0]",
        json.dumps(["/", *path], separators=(",", ":")),
    )


@pytest.fixture
def page(browser: RealBrowser, tmp_path: Path) -> Path:
    """A report that is open in the browser, as its file."""
    size = sizes_of(
        {"usr/lib/big": b"x" * 6000, "usr/lib/small": b"x" * 500, "usr/bin/tool": b"x" * 2000, "etc/old": b"1" * 900},
        {"app": b"y" * 1500, "etc/old": b"2" * 300},
    )
    path = tmp_path / "report.html"
    path.write_text(treemap_html(size))
    browser.open(path.as_uri())
    return path


def test_it_is_clicked_through(browser: RealBrowser, page: Path) -> None:
    assert browser.texts("#name") == ["app"]
    assert browser.texts("#summary")[0].startswith("10.30 kB of files in sight, 11.20 kB in 2 layers")
    assert crumbs(browser) == ["/"]
    assert browser.texts("#here tbody td:first-child") == ["usr/", "app", "etc/"]

    browser.click(".cell[data-number='0']")
    wait_for(browser, "usr")
    assert browser.texts("#here tbody td:first-child") == ["lib/", "bin/"]
    browser.click(".cell[data-number='0']")
    wait_for(browser, "usr", "lib")
    assert browser.texts("#here tbody tr:first-child td") == ["big", "6.00 kB", "92.3 %", "0"]

    browser.click(".cell[data-number='1']")  # a file is told about, and goes nowhere
    assert browser.texts("#status") == ["/usr/lib/small: 500 B, 4.9 % of the image, layer 0"]
    assert crumbs(browser) == ["/", "usr", "lib"]

    browser.click("#crumbs li:nth-child(2) button")
    wait_for(browser, "usr")
    browser("WebDriver:Back")
    wait_for(browser, "usr", "lib")
    browser.click("#crumbs li:first-child button")
    wait_for(browser)
    browser.click("#here tbody button")
    wait_for(browser, "usr")


def test_the_keyboard_is_enough(browser: RealBrowser, page: Path) -> None:
    focused = "return document.activeElement.getAttribute('aria-label')"
    browser.script("document.querySelector('.cell').focus()")
    assert browser.script(focused).startswith("directory /usr: 8.50 kB")
    assert browser.texts("#status")[0].startswith("/usr: 8.50 kB")
    browser.press(ENTER)
    wait_for(browser, "usr")
    assert browser.script(focused).startswith("directory /usr/lib: 6.50 kB")
    browser.press(DOWN)
    assert browser.script(focused).startswith("directory /usr/bin: 2.00 kB")
    browser.press(ENTER)
    wait_for(browser, "usr", "bin")
    browser.press(ESCAPE)
    wait_for(browser, "usr")
    assert browser.script(focused).startswith("directory /usr/bin"), "where one came from"
    assert browser.script("return document.querySelectorAll('.cell[tabindex=\"0\"]').length") == 1
    browser.press(ESCAPE)
    wait_for(browser)


def test_areas_are_sizes_and_colours_are_layers(browser: RealBrowser, page: Path) -> None:
    cells = browser.script(
        "return [...document.querySelectorAll('.cell')].map((one) => { const box = one.getBoundingClientRect();"
        " return [one.dataset.number, box.width * box.height, getComputedStyle(one).backgroundColor]; })"
    )
    whole = sum(area for _, area, _ in cells)
    assert [round(area / whole, 2) for _, area, _ in cells] == [0.83, 0.15, 0.03]
    lower, upper = browser.script(
        "return [...document.querySelectorAll('.swatch')].map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert lower != upper
    assert [colour for _, _, colour in cells] == [lower, upper, upper]
    assert browser.texts("#wasted tbody td") == ["/etc/old", "900 B", "0", "rewritten in layer 1"]


def test_a_hostile_image_runs_nothing_and_fetches_nothing(browser: RealBrowser, tmp_path: Path) -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http:&#47;&#47;127.0.0.1:{server.server_port}"
        names = {
            "</script><script>window.hacked = 1</script>": b"1",
            f"<img src='{url}' onerror='window.hacked = 2'>": b"22",
            "a\udcff\n\x1b]0;x\x07": b"333",
            "<!--<script>": b"4444",
        }
        path = tmp_path / "report.html"
        path.write_text(treemap_html(sizes_of(names, names, name="<svg onload='window.hacked = 3'>")))
        browser.open(path.as_uri())
    finally:
        server.shutdown()
        server.server_close()
    assert browser.script("return window.wrappedJSObject ? window.wrappedJSObject.hacked : window.hacked") is None
    assert browser.script("return document.images.length + document.querySelectorAll('svg').length") == 0
    assert browser.script("return performance.getEntriesByType('resource').length") == 0
    assert asked == []
    assert "/</script><script>window.hacked = 1</script>" in browser.texts("#wasted tbody td:first-child")
    shown = browser.texts("#here tbody td:first-child")
    assert "a\\xff\\n\\x1b]0;x\\x07" in shown
    assert "<!--<" in "".join(shown)


def test_the_command_writes_such_a_page(browser: RealBrowser, tmp_path: Path) -> None:
    pyoci = CommandLine(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /etc/\nCOPY Dockerfile /\n")
    pyoci.ok("build", "-q", "--preflight=off", "-t", "app", ".")
    pyoci.ok("size", "app", "--html", "report.html")
    first = (tmp_path / "report.html").read_bytes()
    pyoci.ok("size", "app", "--html", "report.html")
    assert (tmp_path / "report.html").read_bytes() == first
    browser.open((tmp_path / "report.html").as_uri())
    assert browser.texts("#here tbody td:first-child") == ["Dockerfile", "etc/"]
    browser.click(".cell.directory")
    wait_for(browser, "etc")
    image = browser.screenshot(tmp_path / "seen.png")
    assert image.read_bytes().startswith(b"\x89PNG")
