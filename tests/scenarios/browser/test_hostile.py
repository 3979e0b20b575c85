"""Whatever an archive calls its files, lesions and patients, the page shows it and runs nothing."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from batch.review.page.content import shown
from tests.support import worklists

ESCAPE = "\ue00c"


@pytest.fixture(scope="module")
def hostile():
    return worklists.worklist(len(worklists.HOSTILE) + 1, words=worklists.HOSTILE)


@pytest.fixture
def listener():
    """(address, paths asked for) of a server on this machine."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802  http.server's name
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_no_word_runs_or_becomes_markup(opened, hostile):
    page = opened(hostile, None, worklists.pictures(hostile))
    title = page.driver.title
    own = page.run("return [document.scripts.length, document.styleSheets.length]")
    for _ in range(len(hostile.lesions)):
        page.press("j")
        page.press("o")
    page.fill("#reviewer", worklists.HOSTILE[0])
    page.press(ESCAPE)
    page.run("document.querySelector('.open').click()")
    for key in ("1", "2", "0"):
        page.press(key)
    for select in ("#filter-site", "#sort"):
        for at in range(page.count(f"{select} option")):
            page.choose_at(select, at)
    page.run("for (const group of document.querySelectorAll('details')) group.open = true")
    assert page.driver.title == title
    assert page.run("return [document.scripts.length, document.styleSheets.length]") == own
    assert page.count("svg, iframe, object, embed, link, base, form, b[onload]") == 0
    attributes = "[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())"
    assert page.run(f"return {attributes}.filter((name) => name.startsWith('on'))") == []
    assert page.run("return [...document.images].every((i) => i.src.startsWith('data:image/'))")
    hrefs = page.run("return [...document.links].map((each) => each.getAttribute('href'))")
    assert all(href.startswith("#") for href in hrefs)
    assert page.is_seen("#table")
    assert page.complaints() == []


@pytest.mark.parametrize("number", range(len(worklists.HOSTILE)))
def test_a_word_is_shown_as_it_is_written(opened, hostile, number):
    page, word = opened(hostile), worklists.HOSTILE[number]
    page.press(*"j" * (number + 1), "o")
    wanted = re.sub(r"\s", " ", shown(word))
    detail = re.sub(r"\s", " ", page.text("#detail"))
    assert detail.count(wanted) >= 8
    assert wanted in re.sub(r"\s", " ", page.text("#unreadable"))
    assert "\u202e" not in page.text("body")


def test_the_page_asks_nobody_for_anything(opened, hostile):
    page = opened(hostile, None, worklists.pictures(hostile))
    page.press("j", "o", "j")
    page.exported()
    asked = {address.split(":", 1)[0] for address in page.requests()}
    assert asked <= {"file", "data", "blob"}
    assert {a for a in page.requests() if a.startswith("file")} <= {page.file.as_uri()}


ATTEMPTS = {
    "picture": "const i = new Image(); i.onload = i.onerror = () => done(); i.src = url",
    "fetch": "fetch(url, { mode: 'no-cors' }).then(done, () => done())",
    "beacon": "navigator.sendBeacon(url); setTimeout(done, 300)",
    "frame": "const f = document.createElement('iframe'); f.onload = f.onerror = () => done();"
    "f.src = url; document.body.append(f); setTimeout(done, 3000)",
    "style": "const l = document.createElement('link'); l.rel = 'stylesheet'; l.href = url;"
    "l.onload = l.onerror = () => done(); document.head.append(l)",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("guarded", [True, False], ids=["policy", "without"])
def test_the_policy_holds_even_if_a_script_ran(opened, listener, hostile, attempt, guarded):
    """The second half shows that the attempt would succeed without the policy."""
    page = opened(hostile)
    if not guarded:
        html = page.file.read_text(encoding="utf-8")
        page.file.write_text(html.replace("Content-Security-Policy", "x-none"), encoding="utf-8")
        page.reload()
    address, asked = listener
    page.driver.execute_async_script(
        f"const done = arguments[1], url = arguments[0] + '/{attempt}'; {ATTEMPTS[attempt]}",
        address,
    )
    assert bool(asked) == (not guarded)


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML += '<img src=x onerror=\"window.ran = 1\">'",
        "document.body.insertAdjacentHTML('beforeend', '<svg onload=\"window.ran = 1\">')",
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)",
        "const a = document.createElement('a'); a.href = 'javascript:window.ran = 1';"
        "document.body.append(a); a.click()",
        "document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click()",
    ],
)
def test_no_other_script_runs(opened, hostile, attempt):
    page = opened(hostile)
    page.run(f"try {{ {attempt} }} catch {{}}")
    page.driver.execute_async_script("setTimeout(arguments[0], 100)")
    assert page.run("return window.ran ?? null") is None


def test_a_hostile_file_of_marks_is_shown_and_runs_nothing(opened, hostile, tmp_path):
    page = opened(worklists.worklist(5))
    key = worklists.worklist(5).lesions["lesion_key"][0]
    file = tmp_path / "reviewed.csv"
    word = worklists.HOSTILE[1].replace('"', '""')
    file.write_text(
        f'lesion_key,decision,reviewer,reviewed_at\n{key},"{word}","{word}",2099-01-01\n'
        "__proto__,x,y,2099-01-01\nconstructor,x,y,2099-01-01\n"
    )
    assert page.import_file(file).startswith("Imported 3 marks")
    page.click(".open")
    assert worklists.HOSTILE[1] in page.text("#detail .decided")
    assert page.count("#detail img") == 0
    assert len(page.exported_rows()) >= 3
    assert page.driver.title.startswith("Review worklist")
