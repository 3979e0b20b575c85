"""Debian's chromium, driven by selenium, in a profile that is thrown away."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class NoBrowser(Exception):
    """There is none; the message says what to install."""


def start(profile: Path):
    """A browser without a window. The caller quits it.

    Raises:
        NoBrowser: selenium, chromium or its driver is missing.
    """
    try:
        from selenium import webdriver
    except ImportError as error:
        raise NoBrowser("selenium is not installed") from error
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        raise NoBrowser("no chromium and chromedriver (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update",
                     f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(argument)
    if os.geteuid() == 0:  # chromium's sandbox does not start for root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=programs[1])
    return webdriver.Chrome(options=options, service=service)
