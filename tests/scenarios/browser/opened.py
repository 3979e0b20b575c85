"""The page as a person has it before them: what is seen, keys, clicks, downloads."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path


class OpenedPage:
    """A page opened in a browser of a given size, in pixels."""

    def __init__(self, driver, file: Path, downloads: Path, width: int, height: int) -> None:
        self.driver, self.file, self.downloads = driver, file, downloads
        downloads.mkdir(exist_ok=True)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )
        driver.get_log("browser"), driver.get_log("performance")  # of pages before
        driver.get(file.as_uri())

    def reload(self) -> None:
        """In the same process, which sees at once what it has stored."""
        self.driver.refresh()

    def run(self, script: str, *arguments):
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.run(f"return document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector: str) -> list[str]:
        query = f"document.querySelectorAll({json.dumps(selector)})"
        return self.run(f"return [...{query}].map((found) => found.textContent)")

    def count(self, selector: str) -> int:
        return self.run(f"return document.querySelectorAll({json.dumps(selector)}).length")

    def is_seen(self, selector: str) -> bool:
        return self.run(
            f"return document.querySelector({json.dumps(selector)})?.checkVisibility() ?? false"
        )

    def keys_listed(self) -> list[str]:
        """Keys of the lesions whose rows exist, from above."""
        return self.run(
            "return [...document.querySelectorAll('tr.lesion')].map((row) => row.dataset.key)"
        )

    @property
    def picked(self) -> str | None:
        return self.run("return document.querySelector('tr.picked')?.dataset.key ?? null")

    def click(self, selector: str) -> None:
        found = self.find(selector)
        self.run("arguments[0].scrollIntoView({ block: 'center' })", found)
        found.click()

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def fill(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def choose_at(self, selector: str, index: int) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_index(index)

    def wait(self, script: str, seconds: float = 20):
        """Until a script returns something true."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds).until(lambda _: self.run(script))

    def scroll_to(self, top: int) -> int:
        """Scroll, let the page draw, and tell where it is, in pixels."""
        self.driver.execute_async_script(
            "window.scrollTo(0, arguments[0]); const done = arguments[1];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))",
            top,
        )
        return self.run("return Math.round(window.scrollY)")

    def exported(self) -> bytes:
        """The file that the export button downloads."""
        from selenium.webdriver.support.ui import WebDriverWait

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
