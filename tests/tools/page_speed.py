"""Size, load time and lag of the worklist's page: `python -m tests.tools.page_speed`.

Pages of 50 and 5,000 made-up lesions, with and without pictures, are opened in chromium at 1280 by
800, each several times; the median is told. A time ends with the second frame after the deed, when
it is on the screen: at 60 frames a second that is at least 17 to 33 ms.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from batch.review.page import render
from batch.review.page.pictures import INSIDE, NO_PICTURES, PAGE_BYTES, PagePictures
from tests.scenarios.browser.chromium import NoBrowser, start
from tests.scenarios.browser.opened import OpenedPage
from tests.support import worklists

LESIONS = (50, 5000)
ACTIONS = """
const done = arguments[arguments.length - 1];
const frame = () => new Promise(requestAnimationFrame);
const took = async (act) => {
  const begun = performance.now();
  act();
  await frame();
  await frame();  // what the first one drew is on the screen
  return performance.now() - begun;
};
const press = (key) => document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true }));
const set = (name, value, kind) => {
  const field = document.getElementById(name);
  field.value = value;
  field.dispatchEvent(new Event(kind, { bubbles: true }));
};
(async () => done({
  load: performance.getEntriesByType("navigation")[0].loadEventEnd,
  list: await took(() => press("l")),
  gallery: await took(() => press("g")),
  "sort by patient": await took(() => set("sort", "patient", "change")),
  "filter alerts": await took(() => document.querySelector("[data-filter=alert]").click()),
  "all again": await took(() => document.querySelector("[data-filter=all]").click()),
  search: await took(() => set("search", "lesion-0004", "input")),
  "search taken back": await took(() => set("search", "", "input")),
  "open a lesion": await took(() => document.querySelector(".card .open").click()),
  "next lesion": await took(() => press("j")),
  back: await took(() => press("Escape")),
}))();
"""


def pictures(worklist) -> PagePictures:
    """A picture of its own for each image, until the page is as full as the program fills it."""
    found, used = {}, 0
    made = worklists.pictures(worklist, side=INSIDE.side).by_image
    for number, (image_id, picture) in enumerate(made.items()):
        head, _, body = picture.uri.partition(",")
        data = base64.b64decode(body) + b"%08d" % number  # behind the JPEG's end: no two are equal
        own = f"{head},{base64.b64encode(data).decode()}"
        used += len(own)
        if used > PAGE_BYTES:
            break
        found[image_id] = replace(picture, uri=own)
    return PagePictures("", found, {}, frozenset())


def measured(driver, file: Path, times: int) -> dict[str, float]:
    """Milliseconds, medians."""
    found: list[dict[str, float]] = []
    for _ in range(times):
        driver.get("about:blank")
        begun = time.perf_counter()
        OpenedPage(driver, file, file.parent / "downloads", 1280, 800)
        wall = 1000 * (time.perf_counter() - begun)
        found.append(
            {**driver.execute_async_script(ACTIONS), "opened, as the driver sees it": wall}
        )
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="loads of each page (default 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "review_worklist.html")
        try:
            driver = start(Path(folder, "profile"))
        except NoBrowser as missing:
            print(f"Not measured: {missing}.", file=sys.stderr)
            return 1
        try:
            for lesions in LESIONS:
                worklist = worklists.worklist(lesions)
                for drawn in (NO_PICTURES, pictures(worklist)):
                    file.write_text(render.render(worklist, None, drawn), encoding="utf-8")
                    what = f"{lesions} lesions, {len(worklist.images)} images"
                    size = file.stat().st_size / 1e6
                    print(f"{what}, {len(drawn.by_image)} pictures: {size:.2f} MB")
                    for name, value in measured(driver, file, options.times).items():
                        print(f"    {name:<30} {value:>8.0f} ms", flush=True)
        finally:
            driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
