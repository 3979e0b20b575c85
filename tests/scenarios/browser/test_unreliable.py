"""A picture that cannot be judged: its lesion is not ranked, says what to do, and can be marked."""

from __future__ import annotations

import pytest

from tests.scenarios.browser.opened import ESCAPE
from tests.support import worklists
from tests.support.changed_worklists import changed

SENTENCE = "A picture of it is out of focus: photograph again."


@pytest.fixture
def doubtful(fifty):
    """A lesion below the line whose picture is blurred, and an alert whose picture is too dark."""
    worklist = changed(fifty, 5, status="open", flags=["blurry"])
    worklist.lesions.loc[5, "tier"] = "unreliable"
    return changed(worklist, 0, status="open", flags=["underexposed"])


def test_it_stands_without_rank_and_says_what_to_do(opened, doubtful):
    page = opened(doubtful, pictures=worklists.pictures(doubtful))
    key = doubtful.lesions["lesion_key"][5]
    ranked_before = page.all_keys().index(doubtful.lesions["lesion_key"][0])
    assert ranked_before < page.all_keys().index(key)
    assert page.chip("unreliable") == 1
    page.click("[data-filter=unreliable]")
    assert page.all_keys() == [key]
    assert "Score not reliable" in page.text(".card")
    page.click(".card .open")
    assert SENTENCE in "".join(page.texts("#panel .why"))
    assert "That clears nobody." in "".join(page.texts("#panel .why"))
    page.press(ESCAPE)
    assert page.complaints() == []


def test_an_alert_keeps_its_place_and_tells(opened, doubtful):
    page = opened(doubtful, pictures=worklists.pictures(doubtful))
    assert page.all_keys()[0] == doubtful.lesions["lesion_key"][0]
    page.click(".card .open")
    assert "A picture of it is too dark: photograph again with more light." in "".join(
        page.texts("#panel .why")
    )
