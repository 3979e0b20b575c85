"""A score that wavers says so in plain words; one that does not, or was not measured, is silent."""

from __future__ import annotations

import math

import pytest

from tests.support import worklists
from tests.support.changed_worklists import changed

CARE = "read it with care"


@pytest.mark.parametrize(
    ("margin", "spread", "told"),
    [
        (0.3, 0.21, "The score (0 to 1) changes by ±0.21 when the picture is turned"),
        (0.3, 0.19, None),
        (0.3, math.nan, None),
        (0.05, 0.06, "that reaches over the alert line"),
        (0.05, 0.04, None),
    ],
)
def test_what_a_lesion_says_of_its_score(opened, fifty, margin, spread, told):
    worklist = changed(fifty, 0, status="open", margin=margin, score_spread=spread)
    page = opened(worklist, pictures=worklists.pictures(worklist))
    page.click(".card .open")
    why = "".join(page.texts("#panel .why"))
    assert (CARE in why) == (told is not None)
    assert told is None or told in why
    assert page.complaints() == []
