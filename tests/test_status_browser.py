"""The status page in a real browser, of a demo that runs as users run it.

Screenshots of it are kept in the directory that ``SCREENSHOTS`` names, ``.tox/screenshots`` in CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.clusters import eventually
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from servicereflector.status.tables import ROWS
from servicereflector.testing.processes import Process

#: It talks to nobody but the page's server.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Mirrors of west: more than a page.
MANY = ROWS + 30

#: Milliseconds in which the page shows what has changed, on a machine that is busy.
SOON = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's. Without it a test skips; in CI it fails."""
    program = shutil.which("chromium")
    if program is None:
        missing = "no chromium on $PATH: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo serves: URLs."""

    east: str
    page: str

    def create(self, cluster: str, kind: str, document: dict[str, Any]) -> None:
        url = f"{cluster}/api/v1/namespaces/default/{kind}"
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201

    def point(self, name: str) -> None:
        """Export a Service that needs no endpoints."""
        spec = {"type": "ExternalName", "externalName": "a.example"}
        self.create(self.east, "services", {"metadata": {"name": name}, "spec": spec})

    def export(self, name: str) -> None:
        ports = [{"port": 80}]
        self.create(self.east, "services", {"metadata": {"name": name}, "spec": {"ports": ports}})
        subsets = [{"addresses": [{"ip": "10.9.0.1"}], "ports": ports}]
        self.create(self.east, "endpoints", {"metadata": {"name": name}, "subsets": subsets})

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.page}status.json", timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


@pytest.fixture(scope="module")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """With the conflict that it begins with, and with mirrors for more than one page."""
    directory = tmp_path_factory.mktemp("demo")
    process = Process([sys.executable, "-m", "servicereflector", "demo"], directory, "demo.log")
    process.start()
    try:
        eventually(process.log_tail, lambda: "Ctrl-C" in process.log_tail())
        apis = dict(re.findall(r"(east) +API +(http://\S+)", process.log_tail()))
        shown = re.findall(r" status +(http://\S+)", process.log_tail())
        demo = Demo(apis["east"], shown[1])
        for number in range(MANY):
            demo.point(f"service-{number:03}")

        def mirrored() -> bool:
            states = [mirror["state"] for mirror in demo.status()["mirrors"]]
            return states.count("Mirrored") == MANY + 1 and "Conflict" in states

        eventually(process.log_tail, mirrored, 60)
        yield demo
    finally:
        process.kill()


@dataclass
class Looking:
    """A page that is looked at, and what the browser said of it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    @property
    def names(self) -> list[str]:
        return self.page.locator("#mirrors tbody th").all_inner_texts()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    context = browser.new_context(**getattr(request, "param", {}))
    context.set_default_timeout(SOON)
    yield context
    context.close()


@pytest.fixture
def looking(context: BrowserContext, demo: Demo) -> Iterator[Looking]:
    """Nothing is complained of, and no other server is asked for anything."""
    looking = Looking(context.new_page())
    looking.page.goto(demo.page)
    yield looking
    assert looking.complaints == []
    hosts = {urlsplit(url).netloc for url in looking.requests if not url.startswith("data:")}
    assert hosts == {urlsplit(demo.page).netloc}


def keep(page: Page, name: str, tmp_path: Path) -> None:
    directory = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    directory.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=directory / f"status-{name}.png")
    assert (directory / f"status-{name}.png").stat().st_size > 10_000


def test_it_shows_what_needs_attention_first(looking: Looking, tmp_path: Path) -> None:
    page = looking.page
    expect(page).to_have_title("(1) Service-Reflector")
    expect(page.get_by_role("status")).to_have_text("✕ 1 thing needs attention")
    expect(page.get_by_role("img", name="Sources of this cluster")).to_be_visible()
    expect(page.get_by_role("rowheader", name="shop/till")).to_be_visible()
    assert looking.names[:2] == ["shop/till", "default/service-000"]
    assert len(looking.names) == ROWS
    keep(page, "wide", tmp_path)


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": scheme, "viewport": {"width": w, "height": 800}}
     for scheme in ("light", "dark") for w in (390, 1400)],
    indirect=True,
    ids=["light-narrow", "light-wide", "dark-narrow", "dark-wide"],
)  # fmt: skip
def test_it_fits_the_screen_in_the_colours_that_are_asked_for(
    looking: Looking, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What is wider scrolls in a region of its own."""
    page, which = looking.page, request.node.callspec.id
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(15, 19, 24)" if which.startswith("dark") else "rgb(255, 255, 255)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    keep(page, which, tmp_path)


def test_it_shows_a_change_without_being_loaded_again(looking: Looking, demo: Demo) -> None:
    page = looking.page
    page.evaluate("window.marked = true")
    page.get_by_label("Name contains").fill("fresh")
    expect(page.get_by_text("There is none, or none that the filter takes.")).to_be_visible()
    demo.export("fresh-one")
    expect(page.get_by_role("rowheader", name="default/fresh-one")).to_be_visible()
    assert page.evaluate("window.marked")
    assert page.get_by_label("Name contains").input_value() == "fresh"


def test_its_filters_are_in_the_address(looking: Looking, demo: Demo) -> None:
    page = looking.page
    page.get_by_label("State").select_option("Conflict")
    expect(page.locator("#mirrors tbody tr")).to_have_count(1)
    assert looking.names == ["shop/till"]
    assert page.url == f"{demo.page}?state=Conflict"
    page.reload()
    assert looking.names == ["shop/till"]
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("#mirrors tbody tr")).to_have_count(ROWS)


def test_pages_lead_on_and_the_focus_stays_while_they_are_renewed(looking: Looking) -> None:
    page = looking.page
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("page 2 of 2")).to_be_visible()
    assert len(looking.names) > 20
    assert "shop/till" not in looking.names
    page.get_by_role("link", name="Previous").focus()
    told = page.locator("#process").inner_text()
    expect(page.locator("#process")).not_to_have_text(told)
    assert page.evaluate("document.activeElement.id") == "page-previous"


def test_everything_can_be_reached_by_the_keyboard_and_is_seen_to_be(looking: Looking) -> None:
    """The first stop leads past all the others."""
    page = looking.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the mirrors")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    seen = set()
    for _ in range(60):
        told = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id || e.innerText, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        assert told[1] == "solid", told
        assert told[2] >= 2, told
        seen.add(told[0])
        if told[0] == "page-next":
            break
        page.keyboard.press("Tab")
    assert {"q", "state", "source", "Filter", "Show all", "page-next"} <= seen
    skip.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "mirrors"


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_it_is_read_filtered_and_paged_all_the_same(looking: Looking) -> None:
    page = looking.page
    assert looking.names[0] == "shop/till"
    page.get_by_label("Name contains").fill("service-1")
    page.get_by_label("Source", exact=True).select_option("east")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#mirrors tbody tr")).to_have_count(100)
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="Last").click()
    expect(page.get_by_text("page 2 of 2")).to_be_visible()


def test_a_page_that_nobody_looks_at_asks_for_nothing(looking: Looking, demo: Demo) -> None:
    """And asks at once when it is looked at again."""
    page = looking.page
    page.clock.install()
    page.goto(demo.page)
    with page.expect_request(demo.page):
        page.clock.fast_forward(10_000)
    visibility = (
        "state => { Object.defineProperty(document, 'visibilityState',"
        " { value: state, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.wait_for_load_state("networkidle")
    page.evaluate(visibility, "hidden")
    before = len(looking.requests)
    page.clock.fast_forward(600_000)
    assert len(looking.requests) == before
    with page.expect_request(demo.page):
        page.evaluate(visibility, "visible")


def test_it_says_that_it_is_old_when_nobody_answers(context: BrowserContext, demo: Demo) -> None:
    page = context.new_page()
    page.goto(demo.page)
    context.set_offline(True)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("What is shown is no longer up to date: no answer.")
    context.set_offline(False)
    expect(alert).to_be_hidden()
