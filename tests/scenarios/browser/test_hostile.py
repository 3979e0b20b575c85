"""Whatever an archive calls its files, lesions and patients, the page shows it and runs nothing."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest

from batch.review.page.content import shown
from tests.scenarios.browser.opened import CONTROL, ESCAPE
from tests.support import worklists

ELEMENTS = "script, style, link, base, iframe, object, embed, b[onload], img[onerror], svg[onload]"


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


class Guard:
    """What must stay as it was, whatever is looked at."""

    def __init__(self, page) -> None:
        self.page = page
        self.own = page.count(ELEMENTS)

    def holds(self) -> None:
        page = self.page
        assert page.count(ELEMENTS) == self.own
        attributes = "[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
        assert page.run(f"return {attributes}.filter((name) => name.startsWith('on'))") == []
        assert page.run("return [...document.images].every((i) => i.src.startsWith('data:image/'))")
        hrefs = page.run("return [...document.links].map((each) => each.getAttribute('href'))")
        assert all(href.startswith("#") for href in hrefs)
        assert page.run("return [...document.querySelectorAll('use')].every("
                        "(e) => e.getAttribute('href').startsWith('#i-'))")  # fmt: skip
        assert page.is_seen("#main") or page.opened is not None
        assert page.driver.title != "owned"
        assert page.complaints() == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_word_runs_or_becomes_markup_in_any_view(opened, hostile, language):
    page = opened(hostile, pictures=worklists.pictures(hostile), language=language)
    guard = Guard(page)
    page.call_me(worklists.HOSTILE[0])
    page.run("for (const group of document.querySelectorAll('details')) group.open = true")
    guard.holds()
    page.go("#list")
    for select in ("#site", "#sort"):
        for at in range(page.count(f"{select} option")):
            page.choose_at(select, at)
    guard.holds()
    page.go("#patients")
    guard.holds()
    patients = list(hostile.lesions["patient_key"].dropna().unique())
    for place in page.attributes(".pcard", "href"):
        page.go(place)
    assert page.is_seen("#patient-view")
    assert len(patients) == len(worklists.HOSTILE) + 1
    guard.holds()
    page.go("#gallery")
    page.click("[data-filter=all]")
    page.click(".card .open")
    for key in ("1", "2", "0", "c", "o", "a", "s", "j", "j", "j"):
        page.press(key)
        page.run("document.querySelectorAll('#lesion details').forEach((e) => { e.open = true })")
    guard.holds()


@pytest.mark.parametrize("place", ["a lesion", "a patient", "the list"])
def test_no_word_runs_on_a_printed_sheet(opened, hostile, place):
    page = opened(hostile, pictures=worklists.pictures(hostile))
    page.run("window.print = () => { window.printed = true; }")
    guard = Guard(page)
    for number, word in enumerate(worklists.HOSTILE):
        if place == "a lesion":
            page.open_lesion(f"{word}#{number}")
        elif place == "a patient":
            page.go(f"#patient={quote(f'PATTERN:{word}', safe='')}")
            assert page.is_seen("#patient-view")
        page.run("window.printed = false")
        page.press_with(CONTROL, "p")
        page.wait("return window.printed")
        assert len(page.text("#print")) > 100
        guard.holds()
        page.run("document.getElementById('print').replaceChildren()")
        if place == "the list":
            break


@pytest.mark.parametrize("number", range(len(worklists.HOSTILE)))
def test_a_word_is_shown_as_it_is_written(opened, hostile, number):
    page, word = opened(hostile), worklists.HOSTILE[number]
    page.open_lesion(f"{word}#{number}")
    wanted = re.sub(r"\s", " ", shown(word))
    detail = re.sub(r"\s", " ", page.text("#lesion"))
    assert detail.count(wanted) >= 8
    page.press(ESCAPE)
    assert wanted in re.sub(r"\s", " ", page.text("#unreadable"))
    assert wanted in re.sub(r"\s", " ", page.text("#banners"))
    assert "\u202e" not in page.text("body")


def test_the_page_asks_nobody_for_anything(opened, hostile):
    page = opened(hostile, pictures=worklists.pictures(hostile))
    page.click(".card .open")
    page.press("j", "a", "f", "f")
    page.exported()
    asked = page.requests()
    assert {address.split(":", 1)[0] for address in asked} <= {"file", "data", "blob", "about"}
    assert {a.partition("#")[0] for a in asked if a.startswith("file")} == {page.file.as_uri()}


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


def test_a_hostile_file_of_marks_is_shown_and_runs_nothing(opened, tmp_path):
    worklist = worklists.worklist(5)
    page, key = opened(worklist), worklist.lesions["lesion_key"][0]
    guard = Guard(page)
    file = tmp_path / "reviewed.csv"
    word = worklists.HOSTILE[1].replace('"', '""')
    file.write_text(
        "lesion_key,decision,reviewer,reviewed_at,diagnosis,comment\n"
        f'{key},"{word}","{word}",2099-01-01,"{word}","{word}"\n'
        "__proto__,x,y,2099-01-01,,\nconstructor,x,y,2099-01-01,,\n"
    )
    assert page.import_file(file).startswith("Imported 3 marks")
    page.open_lesion(key)
    assert page.text(".decided").count(worklists.HOSTILE[1]) == 2
    assert page.texts(".other p")[1:] == [
        f"{name}: {worklists.HOSTILE[1]}" for name in ("Diagnosis", "Comment")
    ]
    guard.holds()
    assert len(page.exported_rows()) >= 3


def test_a_hostile_address_is_looked_up_and_nothing_more(opened, hostile):
    page = opened(hostile)
    guard = Guard(page)
    for word in worklists.HOSTILE:
        page.run("location.hash = arguments[0]", f"#lesion={word}&mode={word}&image={word}")
        page.settle()
        page.run("location.hash = arguments[0]", f"#patient={word}")
        page.settle()
    page.fill("#search", worklists.HOSTILE[4])
    guard.holds()
