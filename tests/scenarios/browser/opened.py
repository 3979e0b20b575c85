"""The page as a person has it before them: what is seen, keys, clicks, downloads."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

ENTER, ESCAPE, TAB = "\ue007", "\ue00c", "\ue004"
SHIFT, CONTROL = "\ue008", "\ue009"
LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"
_LISTED = "[...document.querySelectorAll('.card[data-key], .row[data-key]')]"
_SETTLED = "const done = arguments[0]; setTimeout(() => requestAnimationFrame(() => done()), 0)"


class OpenedPage:
    """A page opened in a browser of a given size, in CSS pixels."""

    def __init__(self, driver, file: Path, downloads: Path, width: int, height: int) -> None:
        self.driver, self.file, self.downloads = driver, file, downloads
        downloads.mkdir(exist_ok=True)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        driver.get_log("browser"), driver.get_log("performance")  # of pages before
        driver.get("about:blank")  # another hash of the same file would not load it anew
        driver.get(file.as_uri())

    def command(self, name: str, **given: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, given)

    def reload(self) -> None:
        """In the same process, which sees at once what it has stored."""
        self.driver.refresh()

    def run(self, script: str, *arguments):
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Until what a key or a click began has been drawn."""
        self.driver.execute_async_script(_SETTLED)

    def wait(self, script: str, seconds: float = 20):
        """Until a script returns something true."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds).until(lambda _: self.run(script))

    # What is there

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.run(f"return document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector: str) -> list[str]:
        query = f"document.querySelectorAll({json.dumps(selector)})"
        return self.run(f"return [...{query}].map((found) => found.textContent)")

    def count(self, selector: str) -> int:
        return self.run(f"return document.querySelectorAll({json.dumps(selector)}).length")

    def attributes(self, selector: str, name: str) -> list[str | None]:
        query = f"document.querySelectorAll({json.dumps(selector)})"
        return self.run(f"return [...{query}].map((e) => e.getAttribute({json.dumps(name)}))")

    def is_seen(self, selector: str) -> bool:
        return self.run(
            f"return document.querySelector({json.dumps(selector)})?.checkVisibility() ?? false"
        )

    def style(self, selector: str, name: str) -> str:
        return self.run(
            "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
            selector,
            name,
        )

    def box(self, selector: str) -> dict[str, float]:
        """Where an element is on the screen: left, top, right, bottom, width, height."""
        return self.run(
            "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector
        )

    @property
    def focused(self) -> str:
        """The id of what has the focus, or the key of its lesion."""
        return self.run(
            "const e = document.activeElement;"
            "return e.id || (e.closest('[data-key]')?.dataset.key ?? e.tagName)"
        )

    def keys_listed(self) -> list[str]:
        """Keys of the lesions whose cards or rows exist in the view that is shown, from above."""
        return self.run(
            f"return {_LISTED}.filter((e) => e.checkVisibility()).map((e) => e.dataset.key)"
        )

    def all_keys(self) -> list[str]:
        """The keys of every card or row, though only those near the window exist."""
        found: dict[str, None] = {}
        before, at = None, self.scroll_to(0)
        while at != before:
            found |= dict.fromkeys(self.keys_listed())
            before, at = at, self.scroll_to(at + 900)
        self.scroll_to(0)
        return list(found)

    def chip(self, name: str) -> int:
        """The number on a filter's chip."""
        return int(self.text(f"[data-filter={name}] b").replace(",", "").replace(".", ""))

    @property
    def hash(self) -> str:
        return self.run("return location.hash")

    @property
    def opened(self) -> str | None:
        """Key of the lesion that is open."""
        if not self.is_seen("#lesion"):
            return None
        return unquote(self.hash.removeprefix("#lesion=").partition("&")[0])

    # What a person does

    def go(self, place: str) -> None:
        """To a view, by its address."""
        self.run("location.hash = arguments[0]", place)
        self.settle()

    def open_lesion(self, key: str, more: str = "") -> None:
        self.go(f"#lesion={quote(key, safe='')}{more}")
        assert self.opened == key

    def click(self, selector: str) -> None:
        found = self.find(selector)
        self.run("arguments[0].scrollIntoView({ block: 'center' })", found)
        found.click()
        self.settle()

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus, one after the other."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
            self.settle()

    def press_with(self, held: str, key: str) -> None:
        """A key while another is held."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).key_down(held).send_keys(key).key_up(held).perform()
        self.settle()

    def fill(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def call_me(self, reviewer: str) -> None:
        """Enter the reviewer's name; its field is not shown on small screens."""
        self.run(
            "const field = document.getElementById('reviewer'); field.value = arguments[0];"
            "field.dispatchEvent(new Event('input', { bubbles: true }))",
            reviewer,
        )

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def choose_at(self, selector: str, index: int) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_index(index)

    def scroll_to(self, top: int) -> int:
        """Scroll, let the page draw, and tell where it is, in pixels."""
        self.driver.execute_async_script(
            "window.scrollTo(0, arguments[0]); const done = arguments[1];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))",
            top,
        )
        return self.run("return Math.round(window.scrollY)")

    # Files, and what nobody may see

    def exported(self) -> bytes:
        """The file that the export button downloads; an open lesion is left."""
        from selenium.webdriver.support.ui import WebDriverWait

        if self.is_seen("#lesion"):
            self.go("#gallery")
        for old in self.downloads.iterdir():
            old.unlink()
        self.click("#export")

        def whole(_):
            files = list(self.downloads.iterdir())
            return files[0] if [file.suffix for file in files] == [".csv"] else None

        file = WebDriverWait(self.driver, 20).until(whole)
        assert file.name == "reviewed.csv"
        return file.read_bytes()

    def exported_rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.exported().decode("utf-8"), newline="")))

    def import_file(self, file: Path) -> str:
        """What the page says after the import."""
        self.run("document.getElementById('message').textContent = ''")
        self.find("#import-file").send_keys(str(file))
        return self.wait("return document.getElementById('message').textContent")

    def complaints(self) -> list[str]:
        """What the browser's console has said since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
