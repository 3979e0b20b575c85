"""What decides which images are one lesion is remembered with the reports; a change is said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batch.core.config import ReviewOptions
from batch.reports.local import LocalReports
from batch.review.identity import (
    Identity,
    choose_pattern,
    compare_identities,
    identity_lines,
    identity_of,
    last_recorded_identity,
    recorded_changes,
)
from batch.review.inputs import facts_of
from batch.review.page.render import render
from tests.support import worklists
from tests.support.stored_nights import at, facts, image, published, run_of

ONE, OTHER = r"^(?P<lesion>[^/]+)/", r"^(?P<patient>[^/]+)/(?P<lesion>[^/]+)/"


def settled(given, last, **changes):
    now = Identity(given, **changes)
    return compare_identities(ReviewOptions(given), now, "the-night", last)


@pytest.mark.parametrize(
    ("given", "last", "counts", "taken_over", "said"),
    [
        (None, None, None, False, None),
        (ONE, None, ONE, False, None),
        ("", None, None, False, None),
        (None, Identity(), None, False, None),
        (None, Identity(ONE), ONE, True, None),
        (ONE, Identity(ONE), ONE, False, None),
        ("", Identity(), None, False, None),
        ("", Identity(ONE), None, False, f"{ONE} last night, none now"),
        (OTHER, Identity(ONE), OTHER, False, f"{ONE} last night, {OTHER} now"),
        (ONE, Identity(), ONE, False, f"none last night, {ONE} now"),
        (None, Identity("(?P<lesion>"), None, False, "(?P<lesion> last night, none now"),
    ],
)
def test_a_pattern_that_is_not_given_is_the_last_night_s(given, last, counts, taken_over, said):
    found = settled(given, last)
    assert found.review.lesion_pattern == counts
    assert found.taken_over == taken_over
    if said is None:
        assert found.changed == {}
    else:
        assert f"--lesion-pattern: {said}" in found.changed["--lesion-pattern"]


@pytest.mark.parametrize(
    ("option", "before", "after", "said"),
    [
        ("--identifiers", {}, {"identifiers": "full"}, "uids last night, full now"),
        ("--identifiers", {"identifiers": "full"}, {}, "full last night, uids now"),
        ("--patient-key-file", {"patient_key_id": "ab"}, {}, "the key ab last night, no key now"),
        ("--patient-key-file", {}, {"patient_key_id": "ab"}, "no key last night, the key ab now"),
        ("--patient-key-file", {"patient_key_id": "ab"}, {"patient_key_id": "cd"}, "the key cd"),
        ("--include", {"include": ("modality=xc",)}, {}, "modality=xc last night, none now"),
        ("--exclude", {}, {"exclude": ("modality=ot",)}, "none last night, modality=ot now"),
    ],
)
def test_a_change_of_any_of_them_is_said_and_nothing_else(option, before, after, said):
    found = settled(None, Identity(ONE, **before), **after)
    assert found.changed.keys() == {option}
    assert said in found.changed[option]
    assert found.review.lesion_pattern == ONE


def test_the_order_of_rules_is_no_change():
    rules = ("modality=xc", "modality=dms")
    assert settled(None, Identity(include=rules), include=rules[::-1]).changed == {}


def test_run_json_remembers_what_counted_and_is_read_again():
    run = {"options": {"lesion_pattern": None, "identifiers": "full", "patient_key_id": "ab",
                       "include": ["modality=xc"], "exclude": []}}  # fmt: skip
    found = settled(None, Identity(OTHER, "uids"), identifiers="full")
    found.into(run)
    again = json.loads(json.dumps(run))
    assert identity_of(again) == Identity(OTHER, "full", "ab", ("modality=xc",), ())
    assert recorded_changes(again) == tuple(found.changed.values())
    lines = identity_lines(again)
    assert lines[0].endswith(f"since none was given: {OTHER}")
    assert [line[:10] for line in lines] == ["Lesions   ", "CHANGED   "]


@pytest.mark.parametrize("run", [{}, {"options": None}, {"options": []}, {"options": {}}])
def test_a_night_that_tells_no_options_is_compared_with_nothing(run):
    assert identity_of(run) is None
    assert recorded_changes(run) == ()
    assert identity_lines(run) == []


@pytest.mark.parametrize("value", [7, None, ["a"], {}])
def test_a_damaged_run_json_ends_no_night(value):
    names = ("lesion_pattern", "identifiers", "patient_key_id", "include", "exclude")
    assert isinstance(identity_of({"options": dict.fromkeys(names, value)}), Identity)
    assert isinstance(recorded_changes({"identity": {"changed": value}}), tuple)


def test_the_newest_night_that_tells_is_the_last_one(tmp_path):
    for number, options in ((1, {"lesion_pattern": ONE}), (2, {"lesion_pattern": OTHER}), (3, {})):
        run = run_of(facts(number), 1) | {"options": options}
        published(tmp_path, [image(at("a.jpg"), 0.9)], facts(number), **run)
    run_id, found = last_recorded_identity(LocalReports(tmp_path))
    assert (run_id, found) == (facts(2).run_id, Identity(OTHER))
    assert last_recorded_identity(LocalReports(tmp_path / "none")) == (None, None)


def test_a_list_made_anew_goes_by_its_night_and_says_when_it_does_not():
    run = {"options": {"lesion_pattern": ONE, "identifiers": "full"}}
    its_own = choose_pattern(ReviewOptions(), "r", run)
    assert (its_own.review.lesion_pattern, its_own.taken_over, its_own.changed) == (ONE, True, {})
    for given, counts in ((OTHER, OTHER), ("", None)):
        found = choose_pattern(ReviewOptions(given), "r", run)
        assert found.review.lesion_pattern == counts
        assert found.changed.keys() == {"--lesion-pattern"}


def test_a_change_stands_at_the_top_of_the_page():
    run = run_of(facts(2), 1) | {"identity": {"changed": {"--identifiers": "It <b>changed</b>."}}}
    assert facts_of(run).changed == ("It <b>changed</b>.",)
    worklist = worklists.worklist(3)
    facts_changed = replace(worklist.facts, changed=facts_of(run).changed)
    html = render(replace(worklist, facts=facts_changed))
    at_top = html.index("Changed.</b> It &lt;b&gt;changed&lt;/b&gt;.")
    assert at_top < html.index('id="gallery-view"')
