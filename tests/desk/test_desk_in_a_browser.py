"""The desk as a dermatologist uses it: two browsers, and a list that honours what was marked."""

from __future__ import annotations

import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.desk.mark_file import NAME
from batch.review.worklist.marks import read_marks
from tests.desk.desk_process import Desk, publish, write_photographs
from tests.scenarios.browser.chromium import NoBrowser, start


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    """Two browsers, as of two people."""
    found = []
    try:
        for name in ("first", "second"):
            found.append(start(tmp_path_factory.mktemp(name)))
    except NoBrowser as missing:
        pytest.skip(str(missing))
    yield found
    for browser in found:
        browser.quit()


@pytest.fixture
def place(tmp_path):
    write_photographs(tmp_path / "archive")
    publish(tmp_path / "reports", tmp_path / "archive")
    return tmp_path / "reports"


LINE = "return document.querySelector('#desk-line')?.textContent.includes('{}') ?? false"


def wait(driver, script: str, seconds: float = 30):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds).until(lambda _: driver.execute_script(script))


def open_desk(driver, link: str, who: str) -> None:
    driver.get_log("browser")  # of pages before
    driver.get(link)
    wait(
        driver, "return document.querySelector('#desk-line') && document.querySelector('tr.lesion')"
    )
    driver.find_element("css selector", "#reviewer").send_keys(who)


def open_first(driver, place: int = 0) -> str:
    """Open a lesion of the list; its key."""
    script = "const row = document.querySelectorAll('tr.lesion')[arguments[0]]; row.click(); "
    key = driver.execute_script(script + "return row.dataset.key", place)
    wait(driver, "return document.querySelector('[data-decision]')")
    return key


def decide(driver, decision: str) -> None:
    driver.execute_script(f"document.querySelector('[data-decision={decision}]').click()")


def complaints(driver) -> list[str]:
    return [e["message"] for e in driver.get_log("browser") if "favicon" not in e["message"]]


def test_a_mark_is_saved_seen_by_the_other_and_honoured_by_the_next_list(drivers, place):
    first, second = drivers
    with Desk(place) as desk:
        open_desk(first, desk.link, "KS")
        open_desk(second, desk.next_link(), "MB")
        assert not first.find_element("css selector", "#import").is_displayed()
        key = open_first(first)
        picture = "return document.querySelector('.looks img')?.naturalWidth ?? 0"
        wait(first, picture)
        assert first.execute_script(picture) == 400  # the original, by its own width
        first.find_element("css selector", "#desk-comment").send_keys("dots at the rim")
        decide(first, "call_back")
        wait(first, LINE.format("Saved"))
        (mark,) = read_marks(place / NAME).found
        assert (mark.lesion_key, mark.decision, mark.reviewer) == (key, "call_back", "KS")
        assert "dots at the rim" in (place / NAME).read_text()

        open_first(second)  # within some seconds the other sees it
        wait(second, "return document.querySelector('.decided')?.textContent.includes('KS')")
        assert "dots at the rim" in second.find_element("css selector", "#detail").text
        kept = first.execute_script("return Object.keys(localStorage)")
        assert kept and not any("mark/" in each for each in kept)

        second.find_element("css selector", "#unmark").click()  # taking back is a mark, too
        wait(second, LINE.format("Saved"))
        assert [m.decision for m in read_marks(place / NAME).found] == ["call_back", "reopen"]
        wait(second, "return document.querySelector('.decided').textContent.includes('taken back')")
        decide(second, "no_action")
        wait(second, "return document.querySelectorAll('tr.done').length === 1")

        assert main(["worklist", str(place)]) == ExitCode.COMPLETE
        frame = pd.read_parquet(place / "worklist" / "review_worklist.parquet")
        frame = frame.set_index("lesion_key")
        assert frame["status"][key] == "reviewed"
        assert (frame["decision"][key], frame["reviewer"][key]) == ("no_action", "MB")
        assert set(frame["status"].drop(key)) == {"new"}
        assert complaints(first) == complaints(second) == []


def test_a_mark_that_comes_second_is_told_and_not_saved(drivers, place):
    first, second = drivers
    with Desk(place) as desk:
        open_desk(first, desk.link, "KS")
        open_desk(second, desk.next_link(), "MB")
        open_first(first), open_first(second)
        decide(first, "call_back")
        wait(first, LINE.format("Saved"))
        decide(second, "no_action")
        wait(second, "return document.querySelector('#message').textContent.includes('meanwhile')")
        wait(second, "return document.querySelector('.decided')?.textContent.includes('KS')")
        assert [m.decision for m in read_marks(place / NAME).found] == ["call_back"]
        decide(second, "no_action")
        wait(second, LINE.format("Saved"))
        assert [m.reviewer for m in read_marks(place / NAME).found] == ["KS", "MB"]


def test_a_new_night_is_told_and_so_is_a_mark_that_a_new_start_did_not_save(
    drivers, place, tmp_path
):
    driver, _ = drivers
    with Desk(place) as desk:
        open_desk(driver, desk.link, "KS")
        port = str(desk.port)
        publish(place, tmp_path / "archive", number=2)
        wait(driver, LINE.format("new night"))
        open_first(driver)
        desk.kill()
        decide(driver, "follow_up")
        wait(driver, LINE.format("not saved yet"))
    with Desk(place, "--port", port):  # which knows nobody yet
        wait(driver, "return document.querySelector('#message').textContent.includes('signed in')")
        assert not (place / NAME).exists()
        assert driver.execute_script("return document.querySelectorAll('tr.done').length") == 0


def test_a_click_that_the_desk_is_slow_to_answer_is_sent_again_and_saved_once(drivers, place):
    driver, _ = drivers
    with Desk(place) as desk:
        open_desk(driver, desk.link, "KS")
        driver.execute_script("""
          const real = window.fetch; let lost = 0;
          window.fetch = async (address, told) => {
            const answer = await real(address, told);
            if (told?.method === "POST" && (lost += 1) <= 2) throw new TypeError("answer lost");
            return answer;
          };""")
        open_first(driver)
        decide(driver, "follow_up")
        wait(driver, LINE.format("not saved yet"))
        wait(driver, LINE.format("Saved"))
        assert [m.decision for m in read_marks(place / NAME).found] == ["follow_up"]


def test_who_may_only_look_cannot_mark(drivers, place):
    driver, _ = drivers
    with Desk(place, "--read-only") as desk:
        open_desk(driver, desk.link, "KS")
        open_first(driver)
        decide(driver, "call_back")
        wait(driver, "return document.querySelector('#message').textContent.includes('not mark')")
        assert not (place / NAME).exists()


def test_who_signs_out_sees_nothing_any_more(drivers, place):
    driver, _ = drivers
    with Desk(place) as desk:
        open_desk(driver, desk.link, "KS")
        driver.execute_script("[...document.querySelectorAll('#desk-line button')].at(-1).click()")
        wait(driver, "return document.body.textContent.includes('Open the link')")
        assert "lesion" not in driver.page_source


def test_names_that_could_run_are_shown_as_they_are(drivers, tmp_path):
    driver, _ = drivers
    name = "</script><img src=x onerror=document.title='owned'>.jpg".replace("/", "\u2215")
    write_photographs(tmp_path / "archive", [name])
    publish(tmp_path / "reports", tmp_path / "archive", scores={name: 0.9})
    with Desk(tmp_path / "reports") as desk:
        open_desk(driver, desk.link, "<b>KS")
        open_first(driver)
        driver.find_element("css selector", "#desk-comment").send_keys("<img src=x onerror=1>")
        decide(driver, "call_back")
        wait(driver, LINE.format("Saved"))
        wait(driver, "return document.querySelector('#detail').textContent.includes('onerror=1>')")
        assert "owned" not in driver.title
        assert driver.execute_script("return document.querySelectorAll('#detail b').length") == 0
