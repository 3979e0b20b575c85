"""The caution of a trained model: what the sources that were left out say, and what to do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.training.source_caution import MOST_CHARACTERS, caution

TODO = "Compare with local histology."


def measures(auc, low=None, sensitivity=None, melanomas=100):
    interval = None if auc is None else (auc - 0.02 if low is None else low, auc + 0.02)
    found = {"melanomas": melanomas, "melanoma_auc": auc, "melanoma_auc_interval": interval}
    if sensitivity is not None:
        found["at_operating_point"] = {"sensitivity": sensitivity}
    return found


GOOD, FAIR, WEAK = measures(0.91), measures(0.83), measures(0.74)
LEAD = "its melanoma AUC is"


@pytest.mark.parametrize(
    ("unseen", "expected"),
    [
        ({"a, held out": FAIR, "b, held out": GOOD},
         f"On sources left out of training {LEAD} 0.83 (a) to 0.91 (b). {TODO}"),
        ({"b without isic9": FAIR}, f"On a source left out of training {LEAD} 0.83 (b). {TODO}"),
        ({"a, held out": WEAK, "b, held out": GOOD},
         f"On sources left out of training {LEAD} 0.74 (a) to 0.91 (b): at worst below 0.80, not "
         f"fit to guide review. {TODO}"),
        ({"a, held out": measures(0.7999)},
         f"On a source left out of training {LEAD} 0.79 (a): at worst below 0.80, not fit to "
         f"guide review. {TODO}"),
        ({"a, held out": measures(0.81, 0.79)},
         f"On a source left out of training {LEAD} 0.81 (a): at worst not surely 0.80. {TODO}"),
        ({"a, held out": measures(0.85, sensitivity=0.9499)},
         f"On a source left out of training {LEAD} 0.85 (a); the 95 % threshold finds 94 % of "
         f"melanomas on a. {TODO}"),
        ({"a, held out": measures(0.85, sensitivity=0.95)},
         f"On a source left out of training {LEAD} 0.85 (a). {TODO}"),
        # five melanomas tell nothing beside a hundred; alone they are what there is
        ({"a, held out": measures(0.3, melanomas=5), "b, held out": FAIR},
         f"On a source left out of training {LEAD} 0.83 (b). {TODO}"),
        ({"a, held out": measures(0.3, melanomas=5)},
         f"On a source left out of training {LEAD} 0.30 (a): at worst below 0.80, not fit to "
         f"guide review. {TODO}"),
    ],
)  # fmt: skip
def test_it_says_what_the_sources_say(unseen, expected):
    assert caution(unseen, 0.95) == expected


@pytest.mark.parametrize("unseen", [{}, {"a, held out": measures(None)}])
def test_where_nothing_was_left_out_it_says_that_nothing_is_known(unseen):
    text = caution(unseen, 0.95)
    assert "measured on no source that its training left out" in text
    assert text.endswith(TODO)
    assert len(text) <= MOST_CHARACTERS


def test_without_a_target_no_threshold_is_judged():
    assert "threshold" not in caution({"a, held out": measures(0.85, sensitivity=0.1)}, None)


RATE = st.floats(0, 1)
MEASURES = st.builds(
    measures, st.none() | RATE, low=RATE, sensitivity=st.none() | RATE, melanomas=st.integers(0, 99)
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=80).map("{}, held out".format), MEASURES),
    st.none() | st.sampled_from([0.9, 0.95, 0.975, 0.999]),
)
def test_it_is_short_and_ends_with_what_to_do(unseen, target):
    text = caution(unseen, target)
    assert len(text) <= MOST_CHARACTERS
    assert text.endswith(TODO)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcde"), st.builds(measures, RATE), min_size=1))
def test_a_weak_source_cannot_hide_behind_good_ones(unseen):
    worst = min(one["melanoma_auc"] for one in unseen.values())
    assert ("not fit to guide review" in caution(unseen, 0.95)) == (worst < 0.8)
