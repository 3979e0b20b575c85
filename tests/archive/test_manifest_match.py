"""Rows and files side by side: every one of both is accounted for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.archive.manifest_file import Manifest, ManifestRow, Source, read_manifests
from batch.archive.manifest_match import MOST_PATTERNS, Fate, check_keys, match_rows
from batch.archive.manifest_values import Facts
from batch.core.errors import UsageError

FILES = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/3.png", "c/deep/4.JPG", "Grün.jpg"]


def manifest(*rows, by_path=True, without_key=0):
    made = tuple(
        ManifestRow(0, number, key, by_path, facts) for number, (key, facts) in enumerate(rows, 2)
    )
    empty = tuple((0, 1000 + number) for number in range(without_key))
    return Manifest((Source("m.csv", "", len(rows) + without_key, {}),), made, empty)


def fates(matched):
    return {fate.value: len(rows) for fate, rows in matched.fates.items() if rows}


@pytest.mark.parametrize(
    ("key", "by_path", "file"),
    [
        ("a/1.jpg", True, "a/1.jpg"),
        ("a/1", True, "a/1.jpg"),
        ("./a/1.jpg", True, "a/1.jpg"),
        ("a\\1.jpg", True, "a/1.jpg"),
        ("/archive/a/1.jpg", True, "a/1.jpg"),
        ("2.jpg", True, "a/2.jpg"),
        ("2", False, "a/2.jpg"),
        ("3", False, "b/3.png"),
        ("Gru\u0308n.jpg", False, "Grün.jpg"),
        ("b/1.jpg", False, "b/1.jpg"),
    ],
)
def test_a_key_finds_its_file(key, by_path, file):
    matched = match_rows(manifest((key, Facts(age=1.0)), by_path=by_path), FILES, [], "/archive")
    assert matched.facts == {file: Facts(age=1.0)}


@pytest.mark.parametrize(
    ("key", "fate"),
    [
        ("1.jpg", Fate.AMBIGUOUS),
        ("3.jpg", Fate.WITHOUT_FILE),
        ("x/2.jpg", Fate.WITHOUT_FILE),
        ("readme.txt", Fate.NO_IMAGE),
        ("z/*", Fate.WITHOUT_FILE),
        ("*.txt", Fate.NO_IMAGE),
    ],
)
def test_a_row_that_says_nothing_of_an_image_has_a_fate(key, fate):
    matched = match_rows(manifest((key, Facts(age=1.0))), FILES, ["readme.txt"], "/archive")
    assert (matched.facts, fates(matched)) == ({}, {fate.value: 1})


def test_rows_on_one_file_complete_each_other_and_a_contradiction_counts_for_none():
    matched = match_rows(
        manifest(
            ("a/1.jpg", Facts(patient="P1", sex="male")),
            ("a/1.jpg", Facts(site="back", sex="female")),
            ("a/2.jpg", Facts(age=3.0)),
            ("a/2.jpg", Facts(age=3.0)),
        ),
        FILES,
        [],
        "/archive",
    )
    assert matched.facts["a/1.jpg"] == Facts(patient="P1", site="back")
    assert fates(matched) == {"contradicting": 2, "used": 1, "duplicate": 1}


def test_a_row_of_one_file_counts_before_a_pattern():
    matched = match_rows(
        manifest(
            ("a/*", Facts(device="D1", sex="male")),
            ("a/1.jpg", Facts(device="D2")),
            ("*", Facts(age=9.0)),
        ),
        FILES,
        [],
        "/archive",
    )
    assert matched.facts["a/1.jpg"] == Facts(device="D2", sex="male", age=9.0)
    assert matched.facts["b/1.jpg"] == Facts(age=9.0)
    assert len(matched.facts) == len(FILES)
    assert fates(matched) == {"used": 3}


def test_a_contradiction_of_rows_is_not_filled_by_a_pattern():
    matched = match_rows(
        manifest(
            ("a/1.jpg", Facts(sex="male")), ("a/1.jpg", Facts(sex="female")),
            ("*", Facts(sex="male")),
        ),
        FILES, [], "/archive",
    )  # fmt: skip
    assert matched.facts["a/1.jpg"].sex is None
    assert matched.facts["a/2.jpg"].sex == "male"


def test_names_that_mostly_stand_for_several_files_are_refused():
    ambiguous = manifest(("1.jpg", Facts()), by_path=False)
    with pytest.raises(UsageError, match="of 1 rows with a name that the archive has, 1 name"):
        check_keys(ambiguous, FILES, "/archive")
    check_keys(manifest(("1.jpg", Facts()), ("2", Facts()), ("9", Facts())), FILES, "/archive")


def test_more_patterns_than_can_be_compared_are_refused():
    rows = [(f"{number}*", Facts()) for number in range(MOST_PATTERNS + 1)]
    check_keys(manifest(*rows[1:]), FILES, "/archive")
    with pytest.raises(UsageError, match=f"{MOST_PATTERNS + 1} patterns"):
        check_keys(manifest(*rows), FILES, "/archive")


KEYS = st.sampled_from(
    [*FILES, "1.jpg", "2", "3", "*", "a/*", "[", "*.txt", "readme.txt", "x", "b/?.*", "**", "[!a]*"]
)
FACTS = st.builds(
    Facts,
    patient=st.sampled_from([None, "P1", "P2"]),
    sex=st.sampled_from([None, "male", "female"]),
)


@given(
    st.lists(st.tuples(KEYS, FACTS), max_size=12), st.booleans(), st.integers(0, 3), st.randoms()
)
def test_the_account_adds_up_in_every_order(rows, by_path, without_key, random):
    matched = match_rows(
        manifest(*rows, by_path=by_path, without_key=without_key), FILES, ["readme.txt"], "/archive"
    )
    places = [place for fate in matched.fates.values() for place in fate]
    assert len(places) == len(set(places)) == len(rows) + without_key
    assert matched.images == len(FILES) and matched.facts.keys() <= set(FILES)
    shuffled = random.sample(rows, len(rows))
    again = match_rows(
        manifest(*shuffled, by_path=by_path, without_key=without_key),
        FILES, ["readme.txt"], "/archive",
    )  # fmt: skip
    assert (again.facts, fates(again)) == (matched.facts, fates(matched))


@pytest.mark.parametrize(
    ("folder", "table", "words"),
    [
        ("ham10000", "HAM10000_metadata.csv", {"image", "lesion", "site", "age", "sex"}),
        ("isic2017", "metadata.csv", {"image", "age", "sex"}),
    ],
)
def test_public_tables_are_read_as_they_are(real_data, folder, table, words):
    tables = real_data / folder / table
    if not tables.is_file():
        pytest.skip(f"no {folder}/{table} in the data folder")
    files = [
        file.relative_to(real_data).as_posix()
        for file in sorted((real_data / folder).rglob("*"))
        if file.is_file() and file != tables
    ]
    read = read_manifests([tables], [])
    assert set(read.sources[0].columns.values()) == words and not read.not_understood
    check_keys(read, files, str(real_data))
    matched = match_rows(read, files, [], str(real_data))
    assert sum(map(len, matched.fates.values())) == read.sources[0].rows == len(read.rows)
    named = {row.key: row.facts for row in read.rows}
    wanted = {file for file in files if file.rsplit("/", 1)[-1].rsplit(".", 1)[0] in named}
    assert matched.facts.keys() == wanted and wanted
    assert all(
        facts == named[file.rsplit("/", 1)[-1].rsplit(".", 1)[0]]
        for file, facts in matched.facts.items()
    )
