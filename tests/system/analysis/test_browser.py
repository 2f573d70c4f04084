"""The report opened from a file in headless Chromium, and the export of figures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from analysis import Runs, load
from analysis.cli import app
from analysis.figures.figure_files import write_figures
from analysis.figures.scenario_figures import drawings
from analysis.report.html_report import write_report
from tests.support.run_folders import EVIL, evil_folder

ROWS = "[...document.querySelector('#s0 table').querySelectorAll('tbody tr')]"
"""Rows of the results of the first scenario, in JavaScript."""
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER and find_spec("selenium")),
        reason="needs Debian's packages chromium and chromium-driver, and selenium",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    yield driver
    driver.quit()


def show(browser: Any, page: Path, width: int = 1280) -> None:
    """Open a page at a width, tall enough that every figure is drawn, and wait for the figures."""
    from selenium.webdriver.support.ui import WebDriverWait

    size = {"width": width, "height": 20_000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    is_drawn = "return document.querySelectorAll('.plot:not([data-drawn])').length === 0"
    WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(is_drawn))


@pytest.fixture
def page(tmp_path: Path, full_folder: Path, search_folder: Path) -> Path:
    write_report(load([full_folder, search_folder]), tmp_path / "report.html")
    return tmp_path / "report.html"


def test_figures_are_drawn_and_the_console_is_silent(browser: Any, page: Path) -> None:
    show(browser, page)
    assert browser.execute_script("return document.querySelectorAll('.plot svg.main-svg').length") >= 16
    assert browser.execute_script("return document.querySelectorAll('.plot .scatterlayer .trace').length") > 20
    assert browser.get_log("browser") == []


def test_a_header_sorts_its_table(browser: Any, page: Path) -> None:
    show(browser, page)
    column = f"return {ROWS}.map((row) => row.children[2].textContent)"
    button = "document.querySelectorAll('#s0 thead button')[2].click()"
    browser.execute_script(button)
    descending = browser.execute_script(column)
    browser.execute_script(button)
    ascending = browser.execute_script(column)
    assert descending[0] == "83.47 ± 0.63"
    assert descending == sorted(descending, reverse=True)
    assert ascending == sorted(ascending)
    assert browser.execute_script("return document.querySelector('#s0 th[aria-sort]').ariaSort") == "ascending"


def test_empty_cells_come_last_in_both_directions(browser: Any, page: Path) -> None:
    show(browser, page)
    names = browser.execute_script("return [...document.querySelectorAll('#s0 th')].map((th) => th.textContent)")
    place = names.index("best minus this")
    for _ in range(2):
        browser.execute_script(f"document.querySelectorAll('#s0 thead button')[{place}].click()")
        column = browser.execute_script(f"return {ROWS}.map((row) => row.children[{place}].textContent)")
        assert column[-2:] == ["–", "–"]


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways(browser: Any, page: Path, width: int) -> None:
    show(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_no_column_of_the_results_is_hidden_at_1280_pixels(browser: Any, page: Path) -> None:
    show(browser, page)
    hidden = "return [...document.querySelectorAll('#s0 .scroll')].map((one) => one.scrollWidth - one.clientWidth)"
    assert set(browser.execute_script(hidden)) == {0}


def test_links_lead_to_scenarios(browser: Any, page: Path) -> None:
    show(browser, page)
    targets = browser.execute_script("return [...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    assert all(browser.execute_script("return !!document.getElementById(arguments[0])", name) for name in targets)


def test_a_script_in_a_scenario_name_is_text(browser: Any, tmp_path: Path) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    write_report(load(evil_folder(tmp_path / "evil")), tmp_path / "evil.html")
    show(browser, tmp_path / "evil.html")
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert
    assert browser.execute_script("return document.querySelector('h2').textContent") == EVIL
    assert browser.get_log("browser") == []


def test_a_figure_can_be_hovered(browser: Any, page: Path) -> None:
    show(browser, page)
    script = (
        "const plot = document.querySelector('[data-figure=s0-landscape]');"
        "Plotly.Fx.hover(plot, [{curveNumber: plot.data.length - 2, pointNumber: 0}]);"
        "return plot.querySelector('.hoverlayer').textContent"
    )
    assert "lambda" in browser.execute_script(script)


needs_kaleido = pytest.mark.skipif(not find_spec("kaleido"), reason="needs kaleido")


@needs_kaleido
@pytest.mark.parametrize("kind", ["absent", "not a program"])
def test_figures_without_a_browser_are_refused_before_anything_is_written(
    kind: str, search_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, page = tmp_path / "chromium", tmp_path / "page.html"
    if kind == "not a program":
        program.write_text("")
    monkeypatch.setenv("BROWSER_PATH", str(program))
    words = [str(search_folder), "--out", str(page), "--figures", str(tmp_path / "figures")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "figures as files need Chromium or Chrome on this machine" in refused.output
    assert not page.exists()
    assert not (tmp_path / "figures").exists()


@needs_kaleido
def test_figures_as_files(full: Runs, tmp_path: Path) -> None:
    (one,) = full.scenarios()
    named = [(drawing.name, drawing) for drawing in drawings(one)[:2]]
    paths = write_figures(named, tmp_path / "figures")
    wanted = sorted(f"{name}.{kind}" for name, _ in named for kind in ("pdf", "png"))
    assert [name for name, _ in named] == ["recall", "fresh-curves"]
    assert sorted(path.name for path in paths) == wanted
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == wanted
    for path in paths:
        content = path.read_bytes()
        assert content[:4] == (b"%PDF" if path.suffix == ".pdf" else b"\x89PNG")
        assert len(content) > 5000
        if path.suffix == ".png":
            assert int.from_bytes(content[16:20], "big") == 1600  # pixels of 800 at scale 2
