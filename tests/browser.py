"""A real console in a process of its own, and people who use it in a real browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, TimeoutError, expect

ROOT = Path(__file__).parent.parent
CHROMIUM = "/usr/bin/chromium"
# No graphics card, and nothing that calls home: a foreign request is then the console's own.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SLOW = 60_000  # milliseconds; a busy machine may need long, a good one returns at once


@contextmanager
def serve(
    home: Path, log: Path, *, demo: bool = True, port: int | None = None, more: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> Iterator[str]:
    """Run the console on a free port of this machine; the address, while it runs.

    ``more`` are variables of the environment, ``options`` are Streamlit's.
    """
    port = port or find_port()
    known = {k: v for k, v in os.environ.items() if not k.startswith(("GREENLIGHT_", "STREAMLIT_"))}
    environment = {**known, "GREENLIGHT_HOME": str(home), "GREENLIGHT_WORKERS": "1", **({"GREENLIGHT_DEMO": "1"} if demo else {}), **(more or {})}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.address", "127.0.0.1", "--server.port", str(port), *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"The console did not come up:\n{log.read_text()[-3000:]}")


class Person:
    """Somebody signed in in a browser of their own, and everything that their browser complained about."""

    def __init__(self, browser: Browser, address: str, name: str, shots: Path, scheme: str = "light", width: int = 1400) -> None:
        self.address, self.name, self.shots = address, name, shots
        self.width, self.height = width, 900
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": self.height}, timezone_id="Europe/Paris"
        )  # fmt: skip
        self.complaints: list[str] = []
        context.on("request", self._note_request)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(SLOW)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _note_request(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.netloc != urlsplit(self.address).netloc:
            self.complaints.append(f"request to another host: {request.url[:200]}")

    def _note_console(self, message: ConsoleMessage) -> None:
        # Opened by a deep link, Streamlit's front end first looks for its server below that path.
        probe = re.search(r"/_stcore/(health|host-config)$", message.location.get("url", ""))
        if message.type == "error" and not probe:
            self.complaints.append(f"console: {message.text[:300]} ({message.location.get('url', '')[:120]})")

    # going somewhere

    def sign_in(self) -> None:
        """By the demo's button for this person, as on the sign-in page."""
        self.page.goto(f"{self.address}/sign-in")
        self.page.locator(f"button[value={self.name}]").click()
        self.see_title("Home")

    def open(self, path: str, title: str, **query: object) -> None:
        """Follow a link from outside: a fresh load of the page."""
        text = "&".join(f"{k}={v}" for k, v in query.items())
        self.page.goto(f"{self.address}/{path}" + (f"?{text}" if text else ""))
        self.see_title(title)

    def go(self, title: str) -> None:
        """Choose a page in the menu."""
        menu = self.page.get_by_test_id("stSidebarNavLink")
        menu.filter(has_text=re.compile(rf"{title}( \(\d+\))?$")).click()
        self.see_title(title)

    def see_title(self, title: str) -> None:
        expect(self.page.get_by_role("heading", name=title, level=1, exact=True)).to_be_visible(timeout=SLOW)
        self.settle()

    def settle(self) -> None:
        """Wait until the script has run, and look for the box that an unhandled error would leave."""
        expect(self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(timeout=SLOW)
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=SLOW)
        assert self.page.get_by_test_id("stException").count() == 0, self.page.get_by_test_id("stException").first.inner_text()
        assert self.page.get_by_text("Page not found").count() == 0
        assert self.page.get_by_text("Something went wrong here").count() == 0
        levels = self.main.evaluate("m => [...m.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
        assert all(below - above <= 1 for above, below in pairwise(levels)), f"A level of headings is left out: {levels}"

    # reading

    def see(self, text: str | re.Pattern[str]) -> Locator:
        """Wait for words on the page itself (not in the menu); the first place that has them."""
        found = self.main.get_by_text(text).first
        expect(found).to_be_visible(timeout=SLOW)
        return found

    @property
    def main(self) -> Locator:
        return self.page.get_by_test_id("stMain")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.main.get_by_role("button", name=name)

    def part(self, key: str) -> Locator:
        """The element that the page gave this key."""
        return self.main.locator(f".st-key-{key}")

    def metric(self, label: str) -> str:
        box = self.main.get_by_test_id("stMetric").filter(has=self.page.get_by_text(label, exact=True))
        return box.get_by_test_id("stMetricValue").inner_text().strip()

    def see_picture(self, words: str | re.Pattern[str]) -> str:
        """Wait for a drawn chart by what it says to those who cannot see it; these words."""
        chart = self.main.get_by_role("figure", name=words).first
        expect(chart.locator("svg.main-svg").first).to_be_visible(timeout=SLOW)
        return str(chart.get_attribute("aria-label"))

    def table(self, *headers: str) -> list[dict[str, str]]:
        """The rows of the first table with these headers, as its twin for screen readers has them (those in view)."""
        frame = self.main.get_by_test_id("stDataFrame")
        for header in headers:
            frame = frame.filter(has=self.page.locator("th").get_by_text(header, exact=True))
        grid = frame.first.locator("canvas table")
        expect(grid.locator("tbody tr").first).to_be_attached(timeout=SLOW)
        head, *rows = grid.evaluate("t => [...t.rows].map(r => [...r.cells].map(c => c.textContent))")
        return [dict(zip(head, row, strict=True)) for row in rows]

    def see_rows(self, headers: tuple[str, ...], wanted: list[tuple[str, ...]]) -> list[dict[str, str]]:
        """Wait until a table has these values in these columns: it is drawn a moment after the words around it."""
        end = time.monotonic() + SLOW / 1000
        while True:
            rows = self.table(*headers)
            found = [tuple(row[header] for header in headers) for row in rows]
            if found == wanted:
                return rows
            assert time.monotonic() < end, f"The table shows {found}, not {wanted}"
            self.page.wait_for_timeout(200)

    # doing

    def press(self, name: str | re.Pattern[str]) -> None:
        self.button(name).first.click()

    def tab(self, name: str | re.Pattern[str]) -> None:
        self.main.get_by_role("tab", name=name).click()
        self.settle()

    def choose(self, label: str, option: str | re.Pattern[str]) -> None:
        """Pick from a drop-down list."""
        box = self.main.get_by_test_id("stSelectbox").filter(has=self.page.get_by_text(label, exact=True))
        wanted = self.page.get_by_role("option", name=option, exact=isinstance(option, str)).first
        for _ in range(20):  # a list that is open while a chart above it comes in is closed by the shift
            box.locator("input").press("ArrowDown")
            try:
                wanted.click(timeout=3_000)
                break
            except TimeoutError:
                box.locator("input").press("Escape")
        else:
            raise AssertionError(f"{label} did not offer {option}")
        self.settle()

    def tick(self, label: str, wanted: bool) -> None:
        box = self.main.get_by_test_id("stCheckbox").filter(has_text=re.compile(rf"^{re.escape(label)}$"))
        if box.locator("input").is_checked() != wanted:
            box.locator("label").click()
        expect(box.locator("input")).to_be_checked(checked=wanted)

    def unfold(self, name: str) -> None:
        self.main.get_by_test_id("stExpander").locator("summary").filter(has_text=name).first.click()

    def write(self, label: str, text: str) -> None:
        field = self.main.get_by_label(label, exact=True).first
        field.fill(text)
        field.blur()

    def upload(self, at: Locator, path: Path) -> None:
        at.locator("input[type=file]").set_input_files(path)
        expect(at.get_by_test_id("stFileChip").first).to_be_visible(timeout=SLOW)

    def download(self, name: str | re.Pattern[str], to: Path) -> Path:
        with self.page.expect_download(timeout=SLOW) as coming:
            self.press(name)
        coming.value.save_as(to)
        return to

    # remembering

    def shot(self, name: str) -> Path:
        """A picture of the whole page, which scrolls inside the window."""
        path = self.shots / f"{name}.png"
        height = self.page.evaluate("() => document.querySelector('[data-testid=stMain]')?.scrollHeight || 900")
        self.page.set_viewport_size({"width": self.width, "height": min(max(height + 20, self.height), 4000)})
        self.page.wait_for_timeout(600)
        self.page.screenshot(path=path)
        self.page.set_viewport_size({"width": self.width, "height": self.height})
        return path


def until(question: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something outside the browser."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, f"Still not so after {seconds:.0f} s: {what}"
        time.sleep(0.2)
