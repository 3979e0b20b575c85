"""The listing compared with the memory: what is read, why, in which order, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.config import Order
from batch.core.errors import ArchiveShrunk, FailureReason, NonImageReason, PendingReason
from batch.core.records import ImageLocation
from batch.core.rules import FUTURE_NS
from batch.run.plan import Action, Cause, check_not_shrunk, listing_table, make_plan
from tests.support.stored_nights import (
    at,
    dead_run,
    facts,
    failed,
    image,
    memory_from,
    non_image,
    pending,
    plan_of,
    published,
    sha,
)


def actions(plan):
    """File name to the names of its action and cause."""
    names = [key.decode(errors="surrogateescape") for key in plan.listing["key"].to_pylist()]
    codes = zip(plan.action.tolist(), plan.cause.tolist(), strict=True)
    return {
        name: (Action(action).name, Cause(cause).name)
        for name, (action, cause) in zip(names, codes, strict=True)
    }


def queue(plan):
    return [where.path for where in plan.locations(0, len(plan))]


def test_without_memory_every_file_is_new(tmp_path):
    plan = plan_of(tmp_path, [at("a"), at("b")], facts())
    assert actions(plan) == {"a": ("READ", "NEW"), "b": ("READ", "NEW")}
    assert (plan.causes(), plan.left_archive, len(plan)) == ({"new": 2}, 0, 2)


def test_an_empty_listing_is_an_empty_plan(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [], facts(2))
    assert (len(plan), queue(plan), plan.causes(), plan.left_archive) == (0, [], {}, 1)


@pytest.mark.parametrize(
    ("size", "mtime_ns", "expected"),
    [
        (10, 0, ("KEEP", "NONE")),
        (11, 0, ("READ", "CHANGED")),
        (9, 0, ("READ", "CHANGED")),
        (10, 1, ("READ", "CHANGED")),
        (10, -1, ("READ", "CHANGED")),
        (10, 2**63 - 1, ("READ", "CHANGED")),
        (10, -(2**63), ("READ", "CHANGED")),
    ],
)
def test_a_file_is_the_same_by_path_size_and_time(tmp_path, size, mtime_ns, expected):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("a", size, mtime_ns)], facts(2))
    assert actions(plan) == {"a": expected}


def test_the_name_belongs_to_the_file(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("A"), at("a "), at("./a")], facts(2))
    assert set(actions(plan).values()) == {("READ", "NEW")}
    assert plan.left_archive == 1


def test_names_that_look_alike_in_a_table_are_kept_apart(tmp_path):
    published(tmp_path, [image(at("l\udce4sion"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("l\udce4sion"), at("l\\xe4sion")], facts(2))
    assert actions(plan) == {"l\udce4sion": ("KEEP", "NONE"), "l\\xe4sion": ("READ", "NEW")}
    assert queue(plan) == ["l\\xe4sion"]


FILES = (
    image(at("dicom"), 0.1, file_format="dicom"),
    non_image(at("excluded"), NonImageReason.EXCLUDED_BY_RULE),
    failed(at("failed", attempts=2)),
    failed(at("failed once")),
    failed(at("closed", attempts=9), FailureReason.NOT_READABLE),
    image(at("partly", attempts=2), 0.1, FailureReason.DECODE_FAILED),
    image(at("plain"), 0.1),
    non_image(at("text")),
    pending(at("waits")),
)


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({}, {}),
        (
            {"model": "m2"},
            {"dicom": "MODEL", "plain": "MODEL", "partly": "MODEL"},
        ),
        ({"identity": "few"}, {"dicom": "RULES", "excluded": "RULES"}),
        ({"failure": "wider"}, {"failed": "RULES", "partly": "RULES"}),
        (
            {"program_version": "new"},
            {"excluded": "RULES", "failed": "RULES", "partly": "RULES", "text": "RULES"},
        ),
        ({"threshold": 0.05}, {}),
    ],
    ids=["nothing", "model", "rules", "limits", "program", "operating point"],
)
def test_what_is_read_again_and_why(tmp_path, change, read):
    published(tmp_path, FILES, facts(1))
    plan = plan_of(tmp_path, [result.outcome.location for result in FILES], facts(2, **change))
    always = {"failed once", "closed", "waits"}
    assert set(queue(plan)) == set(read) | always
    causes = {name: cause for name, (_, cause) in actions(plan).items()}
    assert causes["waits"] == "PENDING"
    assert {name: causes[name] for name in read} == read
    others = {cause for name, cause in causes.items() if name not in set(read) | always}
    assert others <= {"NONE"}
    assert sum(plan.causes().values()) == len(plan.queue)


def test_a_failure_that_is_simply_tried_again_says_so(tmp_path):
    published(tmp_path, FILES, facts(1))
    plan = plan_of(tmp_path, [result.outcome.location for result in FILES], facts(2))
    assert plan.causes() == {"pending": 1, "again": 2}


@pytest.mark.parametrize(
    ("where", "change", "expected"),
    [
        (at("a"), {}, 2),
        (at("a"), {"identity": "few"}, 2),
        (at("a"), {"failure": "wider"}, 0),
        (at("a"), {"program_version": "new"}, 0),
        (at("a", mtime_ns=1), {}, 0),
        (at("b"), {}, 0),
    ],
)
def test_attempts_are_of_the_very_same_file_and_decoders(tmp_path, where, change, expected):
    published(tmp_path, [failed(at("a", attempts=1))], facts(1))
    (location,) = plan_of(tmp_path, [where], facts(2, **change)).locations(0, 1)
    assert location == ImageLocation(where.path, where.size, where.mtime_ns, expected)


def test_files_that_are_gone_are_counted(tmp_path):
    published(tmp_path, [image(at(name), 0.1) for name in "abc"], facts(1))
    plan = plan_of(tmp_path, [at("b"), at("d")], facts(2))
    assert (plan.left_archive, len(plan)) == (2, 2)


# --- order and slices of the queue ----

AGES = [at("a", mtime_ns=2), at("b", mtime_ns=1), at("c", mtime_ns=2), at("d", mtime_ns=-(2**63)),
        at("e", mtime_ns=2**63 - 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "expected"), [(Order.PATH, "abcde"), (Order.OLDEST, "dbace"), (Order.NEWEST, "eacbd")]
)
def test_the_queue_is_in_order_and_of_one_age_by_name(tmp_path, order, expected):
    assert "".join(queue(plan_of(tmp_path, AGES, facts(), order))) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 5), st.sampled_from(Order))
def test_slices_of_the_queue_are_the_queue(ages, size, order):
    found = [at(f"{number:02d}", mtime_ns=age) for number, age in enumerate(ages)]
    plan = plan_of(Path("/nowhere"), found, facts(), order)
    slices = [plan.locations(start, start + size) for start in range(0, len(ages), size)]
    assert [where for some in slices for where in some] == plan.locations(0, len(ages))
    assert sorted(queue(plan)) == [where.path for where in found]


def test_a_listing_longer_than_a_chunk_stays_in_order():
    found = [at(f"{number:06d}", number, -number) for number in range(20_001)]
    table = listing_table(iter(found))
    assert table["key"].to_pylist() == [where.path.encode() for where in found]
    assert table["size"][20_000].as_py() == 20_000
    assert table["mtime_ns"][20_000].as_py() == -20_000


# --- young files ----


@pytest.mark.parametrize(
    ("mtime_ns", "left_alone"),
    [
        (999, False),
        (1000, False),
        (1001, True),
        (1000 + FUTURE_NS - 1, True),
        (1000 + FUTURE_NS, False),
        (2**63 - 1, False),
    ],
)
def test_a_file_modified_after_the_instant_is_left_alone(tmp_path, mtime_ns, left_alone):
    where = at("a", mtime_ns=mtime_ns)
    plan = plan_of(tmp_path, [where], facts(), settled_before_ns=1000)
    assert actions(plan) == {"a": ("LEAVE_YOUNG", "NONE") if left_alone else ("READ", "NEW")}
    assert plan.causes() == ({} if left_alone else {"new": 1})


def test_a_young_file_that_is_known_is_kept(tmp_path):
    published(tmp_path, [image(at("a", mtime_ns=2000), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("a", mtime_ns=2000)], facts(2), settled_before_ns=1000)
    assert actions(plan) == {"a": ("KEEP", "NONE")}


# --- folders that cannot be listed ----


def test_what_lies_below_a_folder_that_cannot_be_listed_is_not_gone(tmp_path):
    known = ["a", "d", "d.jpg", "d/a", "d/e/b", "e/a"]
    published(tmp_path, [image(at(name), 0.1) for name in known], facts(1))
    plan = plan_of(tmp_path, [at("a"), at("d/", 0, 0)], facts(2))
    assert actions(plan) == {
        "a": ("KEEP", "NONE"),
        "d/": ("READ", "NEW"),
        "d/a": ("LEAVE_UNLISTED", "NONE"),
        "d/e/b": ("LEAVE_UNLISTED", "NONE"),
    }
    assert plan.left_archive == 3


def test_a_folder_with_a_name_that_is_not_utf8_hides_what_is_below(tmp_path):
    published(tmp_path, [image(at("\udce4/a"), 0.1), image(at("\\xe4/b"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("\udce4/", 0, 0)], facts(2))
    assert actions(plan)["\udce4/a"] == ("LEAVE_UNLISTED", "NONE")
    assert plan.left_archive == 1


def test_hidden_files_are_hidden_the_night_after_too(tmp_path):
    hidden = pending(at("d/a"), PendingReason.FOLDER_NOT_LISTED)
    closed = failed(at("d/", 0, 0), FailureReason.NOT_READABLE, None)
    published(tmp_path, [hidden, closed], facts(1))
    plan = plan_of(tmp_path, [at("d/", 0, 0)], facts(2))
    assert actions(plan) == {"d/": ("READ", "AGAIN"), "d/a": ("LEAVE_UNLISTED", "NONE")}
    plan = plan_of(tmp_path, [at("d/a")], facts(2))
    assert actions(plan) == {"d/a": ("READ", "PENDING")}
    assert plan.left_archive == 1


# The root is a folder too.
def test_when_the_archive_itself_cannot_be_listed_nothing_is_gone(tmp_path):
    published(tmp_path, [image(at("a"), 0.1), image(at("d/a"), 0.1)], facts(1))
    plan = plan_of(tmp_path, [at("", 0, 0)], facts(2))
    assert plan.left_archive == 0


# --- segments of dead runs ----


@pytest.mark.parametrize(
    ("result", "where", "expected"),
    [
        (image(at("a"), 0.1), at("a"), "TAKE_UP"),
        (failed(at("a")), at("a"), "TAKE_UP"),
        (non_image(at("a")), at("a"), "TAKE_UP"),
        (pending(at("a")), at("a"), "READ"),
        (image(at("a"), 0.1), at("a", size=11), "READ"),
        (image(at("a"), 0.1), at("a", mtime_ns=1), "READ"),
        (image(at("a"), 0.1), at("b"), "READ"),
    ],
)
def test_of_a_dead_run_is_taken_up_what_is_settled_and_the_same(tmp_path, result, where, expected):
    dead_run(tmp_path, [[result]], facts(1))
    plan = plan_of(tmp_path, [where], facts(2))
    assert actions(plan)[where.path][0] == expected
    assert len(plan.queue) == (expected == "READ")
    assert plan.count(Action.TAKE_UP) == (expected == "TAKE_UP")


def test_a_young_file_that_a_dead_run_has_read_is_taken_up(tmp_path):
    dead_run(tmp_path, [[image(at("a", mtime_ns=2000), 0.1)]], facts(1))
    plan = plan_of(tmp_path, [at("a", mtime_ns=2000)], facts(2), settled_before_ns=1000)
    assert actions(plan) == {"a": ("TAKE_UP", "NONE")}


def test_what_the_night_settled_is_not_taken_from_a_dead_run(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    dead_run(tmp_path, [[image(at("a"), 0.9)]], facts(2))
    assert actions(plan_of(tmp_path, [at("a")], facts(3))) == {"a": ("KEEP", "NONE")}


# --- known content ----


def known(plan, locations):
    """Digests that these files could have; each stands under its own size."""
    return {digest for digests in plan.known_digests(locations).values() for digest in digests}


def test_known_digests_are_those_of_content_of_the_same_size(tmp_path):
    results = [
        image(at("a", 5), 0.1),
        image(at("b", 6), 0.1),
        image(at("c", 6), 0.1),
        image(at("partly", 6), 0.1, FailureReason.DECODE_FAILED),
        failed(at("failed", 6, attempts=5)),
        non_image(at("text", 6)),
    ]
    published(tmp_path, results, facts(1))
    plan = plan_of(tmp_path, [at("new", 6)], facts(2))
    assert known(plan, [at("x", 6)]) == {sha("b"), sha("c")}
    assert known(plan, [at("x", 5), at("y", 6)]) == {sha("a"), sha("b"), sha("c")}
    assert known(plan, [at("x", 7), at("y", 4)]) == set()
    assert known(plan, []) == set()
    assert plan.known_digests([at("x", 5), at("y", 6)])[5] == (sha("a"),)
    assert plan.known_sizes() == 1
    assert plan.reusable_rows().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "m2"}, set()),
        ({"identity": "few"}, {sha("a")}),
        ({"failure": "wider"}, {sha("a"), sha("b")}),
        ({"program_version": "new"}, {sha("a"), sha("b")}),
    ],
)
def test_content_is_known_under_tonights_rules_only(tmp_path, change, expected):
    results = [image(at("a"), 0.1), image(at("b"), 0.1, file_format="dicom")]
    published(tmp_path, results, facts(1))
    plan = plan_of(tmp_path, [at("x")], facts(2, **change))
    assert known(plan, [at("x")]) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=10), st.sets(st.integers(0, 5)))
def test_known_digests_are_found_as_by_looking_at_every_file(sizes, wanted):
    results = [image(at(f"{n}", size), 0.1) for n, size in enumerate(sizes)]
    found = [at("x", size) for size in wanted]
    plan = make_plan(found, memory_from(results, facts(1)), facts(2).fingerprints, Order.PATH)
    assert known(plan, found) == {sha(f"{n}") for n, s in enumerate(sizes) if s in wanted}
    assert plan.known_sizes() == len(wanted & set(sizes))


def test_failed_before_are_files_that_are_as_they_were(tmp_path):
    names = ["gave up", "partly", "fine", "changed"]
    published(
        tmp_path,
        [
            failed(at("gave up", attempts=5)),
            image(at("partly"), 0.1, FailureReason.DECODE_FAILED),
            image(at("fine"), 0.1),
            failed(at("changed")),
        ],
        facts(1),
    )
    found = [at(name, mtime_ns=int(name == "changed")) for name in names]
    plan = plan_of(tmp_path, found, facts(2))
    assert set(plan.failed_before().to_pylist()) == {b"gave up", b"partly"}


# --- an archive that shrank ----


@pytest.mark.parametrize(
    ("before", "left", "refused"),
    [(0, 0, False), (1, 0, False), (1, 1, True), (2, 1, False), (3, 1, False), (3, 2, True),
     (4, 2, False), (4, 3, True), (5, 2, False), (5, 3, True)],
)  # fmt: skip
def test_more_than_half_of_the_archive_may_not_be_gone(tmp_path, before, left, refused):
    if before:
        published(tmp_path, [image(at(str(n)), 0.1) for n in range(before)], facts(1))
    found = [at(str(n)) for n in range(left, before)] + [at(f"new {n}") for n in range(9)]
    plan = plan_of(tmp_path, found, facts(2))
    assert plan.left_archive == left
    if refused:
        with pytest.raises(ArchiveShrunk, match=f"of the {before} files .*, {left} are gone"):
            check_not_shrunk(plan, "/archive")
    else:
        check_not_shrunk(plan, "/archive")


def test_files_that_are_only_hidden_do_not_shrink_an_archive(tmp_path):
    published(tmp_path, [image(at(f"d/{n}"), 0.1) for n in range(5)], facts(1))
    check_not_shrunk(plan_of(tmp_path, [at("d/", 0, 0)], facts(2)), "/archive")


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 1), st.integers(0, 1))),
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 1), st.integers(0, 1))),
)
def test_any_listing_against_any_night(before, now):
    """Every file listed is kept, changed or new, as two dictionaries say."""
    memory = memory_from([image(at(name, *stat), 0.1) for name, stat in before.items()], facts(1))
    found = [at(name, *stat) for name, stat in sorted(now.items())]
    plan = make_plan(found, memory, facts(2).fingerprints, Order.PATH)
    expected = {
        name: ("READ", "NEW")
        if name not in before
        else ("KEEP", "NONE")
        if before[name] == stat
        else ("READ", "CHANGED")
        for name, stat in now.items()
    }
    assert actions(plan) == expected
    assert plan.left_archive == len(before.keys() - now.keys())
