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
MESSAGE = "return document.querySelector('#message').textContent.includes('{}')"
DECIDED = "return document.querySelector('.decided')?.textContent.includes('{}') ?? false"


def wait(driver, script: str, seconds: float = 30):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds).until(lambda _: driver.execute_script(script))


def open_desk(driver, link: str, who: str) -> None:
    driver.get_log("browser")  # of pages before
    driver.get(link)
    wait(driver, "return document.querySelector('#desk-line') && document.querySelector('.card')")
    driver.execute_script(
        "const field = document.getElementById('reviewer'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input', { bubbles: true }))",
        who,
    )


def open_first(driver) -> str:
    """Open the first lesion of the list; its key."""
    script = "const card = document.querySelector('.card'); card.querySelector('.open').click();"
    key = driver.execute_script(script + "return card.dataset.key")
    wait(driver, "return document.querySelector('[data-decision]')?.checkVisibility()")
    return key


def open_key(driver, key: str) -> None:
    """Open a lesion that somebody else has closed, and that the list holds no more."""
    driver.execute_script("location.hash = '#lesion=' + encodeURIComponent(arguments[0])", key)
    wait(driver, "return document.querySelector('[data-decision]')?.checkVisibility()")


def decide(driver, decision: str) -> None:
    driver.execute_script(f"document.querySelector('[data-decision={decision}]').click()")


def stay(driver) -> None:
    """Do not go on to the next lesion after a mark."""
    driver.execute_script("document.querySelector('#advance').click()")


def reviewed(number: int) -> str:
    """Whether so many lesions of the list that is behind are closed."""
    return (
        "return Number(document.querySelector('[data-filter=reviewed] b')?.textContent)"
        f" === {number}"
    )


def complaints(driver) -> list[str]:
    return [e["message"] for e in driver.get_log("browser") if "favicon" not in e["message"]]


def test_a_mark_is_saved_seen_by_the_other_and_honoured_by_the_next_list(drivers, place):
    first, second = drivers
    with Desk(place) as desk:
        open_desk(first, desk.link, "KS")
        open_desk(second, desk.next_link(), "MB")
        assert not first.find_element("css selector", "#import").is_displayed()
        key = open_first(first)
        stay(first)
        picture = "return document.querySelector('#stage img')?.naturalWidth ?? 0"
        wait(first, picture)
        assert first.execute_script(picture) == 400  # the original, by its own width
        first.find_element("css selector", "#comment").send_keys("dots at the rim")
        first.find_element("css selector", "#diagnosis").send_keys("nevus")
        decide(first, "call_back")
        wait(first, LINE.format("Saved"))
        (mark,) = read_marks(place / NAME).found
        assert (mark.lesion_key, mark.decision, mark.reviewer) == (key, "call_back", "KS")
        for word in ("dots at the rim", "nevus"):
            assert word in (place / NAME).read_text()

        wait(second, reviewed(1))  # within some seconds the other sees it
        open_key(second, key)
        stay(second)
        wait(second, DECIDED.format("by KS"))
        told = second.find_element("css selector", "#panel").text
        for word in ("dots at the rim", "nevus"):
            assert word in told
        kept = first.execute_script("return Object.keys(localStorage)")
        assert kept
        assert not any("mark/" in each for each in kept)

        second.find_element("css selector", "#unmark").click()  # taking back is a mark, too
        wait(second, LINE.format("Saved"))
        assert [m.decision for m in read_marks(place / NAME).found] == ["call_back", "reopen"]
        wait(second, "return document.querySelector('.decided') === null")
        wait(first, "return document.querySelector('.decided') === null")
        decide(second, "no_action")
        wait(second, DECIDED.format("by MB"))
        wait(second, LINE.format("Saved"))

        assert main(["worklist", str(place)]) == ExitCode.COMPLETE
        frame = pd.read_parquet(place / "worklist" / "review_worklist.parquet")
        frame = frame.set_index("lesion_key")
        assert frame["status"][key] == "reviewed"
        assert (frame["decision"][key], frame["reviewer"][key]) == ("no_action", "MB")
        assert set(frame["status"].drop(key)) == {"new"}
        assert complaints(first) == complaints(second) == []


def test_a_mark_opens_the_next_lesion_and_the_message_takes_it_back(drivers, place):
    driver, _ = drivers
    with Desk(place) as desk:
        open_desk(driver, desk.link, "KS")
        key = open_first(driver)
        title = "return document.querySelector('#lesion-title').textContent"
        before = driver.execute_script(title)
        decide(driver, "follow_up")
        wait(driver, LINE.format("Saved"))
        assert driver.execute_script(title) != before
        driver.find_element("css selector", "#undo-last").click()
        wait(driver, MESSAGE.format("taken back"))
        wait(driver, "return document.querySelectorAll('.card.done').length === 0")
        found = []
        for _ in range(100):
            found = read_marks(place / NAME).found
            if len(found) == 2:
                break
            driver.execute_async_script("setTimeout(arguments[0], 100)")
        assert [(m.lesion_key, m.decision) for m in found] == [(key, "follow_up"), (key, "reopen")]


def test_the_original_is_one_click_away(drivers, place):
    driver, _ = drivers
    with Desk(place) as desk:
        open_desk(driver, desk.link, "KS")
        open_first(driver)
        link = driver.find_element("css selector", ".tools a.tool")
        assert link.text == "Original"
        size = driver.execute_async_script(
            "const done = arguments[1], image = new Image(); image.src = arguments[0];"
            "image.decode().then(() => done([image.naturalWidth, image.naturalHeight]), "
            "(error) => done(String(error)))",
            link.get_attribute("href"),
        )
        assert size == [400, 300]
        assert complaints(driver) == []


def test_a_mark_that_comes_second_is_told_and_not_saved(drivers, place):
    first, second = drivers
    with Desk(place) as desk:
        open_desk(first, desk.link, "KS")
        open_desk(second, desk.next_link(), "MB")
        open_first(first), open_first(second)
        # the second browser has not asked yet for the marks of others
        second.execute_script(
            "const real = window.fetch; window.fetch = (address, told) => told?.method === 'POST'"
            " ? real(address, told) : new Promise(() => {});"
        )
        second.execute_async_script("setTimeout(arguments[0], 4500)")
        decide(first, "call_back")
        wait(first, LINE.format("Saved"))
        decide(second, "no_action")  # the next lesion opens, and this one again
        wait(second, MESSAGE.format("meanwhile"))
        wait(second, DECIDED.format("by KS"))
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
        wait(driver, MESSAGE.format("signed in"))
        assert not (place / NAME).exists()
        wait(driver, "return document.querySelector('.decided') === null")


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


def test_who_may_only_look_is_told_and_cannot_mark(drivers, place):
    driver, _ = drivers
    from selenium.webdriver import ActionChains

    with Desk(place, "--read-only") as desk:
        open_desk(driver, desk.link, "KS")
        driver.execute_script("document.querySelector('.card .open').click()")
        wait(driver, "return document.querySelector('.decide')?.checkVisibility()")
        block = driver.find_element("css selector", ".decide")
        assert block.text == "You may look at this desk, and not mark."
        assert driver.find_elements("css selector", "[data-decision], #comment") == []
        ActionChains(driver).send_keys("1").perform()
        wait(driver, MESSAGE.format("not mark"))
        assert not (place / NAME).exists()
        assert complaints(driver) == []


def test_the_name_that_signed_in_marks_and_cannot_be_changed(drivers, place, tmp_path):
    bcrypt = pytest.importorskip("bcrypt")
    driver, _ = drivers
    users = tmp_path / "users"
    users.write_text(f"dr-ks:{bcrypt.hashpw(b'pass word', bcrypt.gensalt(4)).decode()}\n")
    users.chmod(0o600)
    with Desk(place, "--users", str(users)) as desk:
        driver.get(desk.origin)
        for name, value in (("username", "dr-ks"), ("password", "pass word")):
            driver.find_element("css selector", f"[autocomplete*={name}]").send_keys(value)
        driver.find_element("css selector", "button").click()
        wait(driver, "return document.querySelector('#reviewer')?.value === 'dr-ks'")
        assert driver.find_element("css selector", "#reviewer").get_attribute("readonly")
        open_first(driver)
        decide(driver, "new_image")
        wait(driver, LINE.format("Saved"))
        assert [m.reviewer for m in read_marks(place / NAME).found] == ["dr-ks"]


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
        driver.find_element("css selector", "#comment").send_keys("<img src=x onerror=1>")
        decide(driver, "call_back")
        wait(driver, LINE.format("Saved"))
        wait(driver, DECIDED.format("<b>KS"))
        assert "onerror=1>" in driver.find_element("css selector", "#panel").text
        assert driver.title.startswith("\u2026") or name[:12] in driver.title
        assert driver.execute_script(
            "return document.querySelectorAll('img[onerror], .decided b').length"
        ) == 0  # fmt: skip
        assert complaints(driver) == []
