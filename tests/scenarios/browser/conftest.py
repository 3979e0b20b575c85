"""A real browser: Debian's chromium, driven by selenium. Skipped, with the reason, without one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from batch.review.page import render as review_page
from tests.scenarios.browser.chromium import NoBrowser, start
from tests.scenarios.browser.opened import OpenedPage
from tests.support import worklists

NPM_SECONDS = 120


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """One browser a file of tests; its profile is thrown away."""
    try:
        browser = start(tmp_path_factory.mktemp("profile"))
    except NoBrowser as missing:
        pytest.skip(str(missing))
    yield browser
    browser.quit()


@pytest.fixture
def opened(driver, tmp_path):
    """Opens a worklist's page, at first in an empty browser; called with what `render` takes."""
    found: list[OpenedPage] = []

    def open_page(worklist, *arguments, width: int = 1280, height: int = 800, **named):
        file = tmp_path / "review_worklist.html"
        html = review_page.render(worklist, *arguments, **named)
        file.write_text(html, encoding="utf-8")
        page = OpenedPage(driver, file, tmp_path / "downloads", width, height)
        if not found:
            page.run("localStorage.clear()")
            page.command("Emulation.setEmulatedMedia", media="", features=[])
            page.reload()
        found.append(page)
        return page

    return open_page


@pytest.fixture(scope="module")
def fifty():
    """A worklist of 50 lesions, three of them closed by earlier marks."""
    return worklists.worklist(50)


@pytest.fixture(scope="module")
def blank(driver):
    """A browser with an empty page, to run parts of the page's script in."""
    driver.get("about:blank")
    return driver


@pytest.fixture(scope="session")
def axe_source(tmp_path_factory) -> str:
    """axe-core's script, from npm's registry."""
    if shutil.which("npm") is None:
        pytest.skip("no npm: axe-core cannot be fetched")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--prefix", str(folder), "--no-save", "--ignore-scripts",
               "--no-audit", "--no-fund", "--loglevel=error", "axe-core@4"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=NPM_SECONDS, cwd=folder)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm gave no axe-core within {NPM_SECONDS} s")
    if done.returncode:
        pytest.skip(f"npm could not fetch axe-core (exit code {done.returncode})")
    return Path(folder, "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
