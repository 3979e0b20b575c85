"""The worklist on disk: Parquet that gives the list back, CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pyarrow.parquet as pq
import pytest

from batch.core.rules import lesion_pattern
from batch.reports.local import LocalReports
from batch.reports.parquet import schema
from batch.reports.schema import TABLES
from batch.review.inputs import WORKLIST, read_remembered
from batch.review.outputs import as_csv, for_page, table_files
from batch.review.page.content import page_data
from batch.review.page.pictures import NO_PICTURES
from batch.review.worklist.contract import LESION_COLUMNS
from batch.review.worklist.frames import records
from batch.review.worklist.marks import parse_csv
from tests.support.lists import Mornings, image, mark, standings, unreadable

HOSTILE = (
    "=HYPERLINK(1)",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a\nb,\"c'",
    "＝1",
    "ü\u202ex",
)


def full(names=("a", "b", "c")):
    """A night with every kind of row: reviewed, open, unreadable, near."""
    mornings = Mornings(lesion_pattern("^(?P<lesion>l.*)_"))
    rows = [image(0.9, names[0]), image(0.8, names[1]), image(0.4, names[2])]
    mornings.night(rows)
    made = [mark(1.5, image_id=rows[0]["image_id"], decision=names[0], reviewer=names[1])]
    return mornings.night(rows, [unreadable("u")], marks=made)


def test_the_parquet_file_has_the_published_columns_and_the_ranks(tmp_path):
    files = table_files(full())
    table = pq.read_table(io.BytesIO(files["review_worklist.parquet"]))
    assert table.schema == schema(WORKLIST)
    assert table["rank"].to_pylist() == [1, 2, 3, 4]
    assert table["status"].to_pylist() == ["open", "open", "new", "reviewed"]


def test_every_column_of_the_list_is_published():
    assert [c.name for c in TABLES[WORKLIST]] == [*LESION_COLUMNS, "run_id"]


def test_a_list_without_lesions_has_all_columns():
    files = table_files(Mornings().night([]))
    assert pq.read_table(io.BytesIO(files["review_worklist.parquet"])).schema == schema(WORKLIST)
    assert len(files["review_worklist.csv"].splitlines()) == 1


def remembered_from(worklist, folder):
    """What the next night reads of a list that was published."""
    night = folder / "runs" / "20261102T020000Z-0002"
    night.mkdir(parents=True)
    for name, data in table_files(worklist).items():
        (night / name).write_bytes(data)
    (night / "run.json").write_text(f'{{"started_at": "{worklist.facts.night}"}}')
    (night / "_SUCCESS").touch()
    return read_remembered(LocalReports(folder), "20261103T020000Z-0003")


def test_the_next_night_reads_the_list_as_it_was(tmp_path):
    worklist = full()
    found = remembered_from(worklist, tmp_path)
    assert found.night == worklist.facts.night
    assert found.alerted == {}
    wanted = pd.DataFrame(records(worklist.lesions))
    again = pd.DataFrame(list(found.rows))[list(LESION_COLUMNS)]
    pd.testing.assert_frame_equal(again, wanted, check_dtype=False)


def test_a_list_goes_on_from_disk_as_from_memory(tmp_path):
    mornings = Mornings()
    rows = [image(0.9, "a"), image(0.8, "b")]
    mornings.night(rows)
    mornings.remembered = remembered_from(mornings.night(rows, [unreadable()]), tmp_path)
    assert set(standings(mornings.night(rows, [unreadable()])).values()) == {
        ("alert", "open"), ("unreadable", "open"),
    }  # fmt: skip


def test_no_cell_of_the_csv_begins_a_formula_or_breaks_a_line():
    mornings = Mornings()
    for name in HOSTILE:
        rows = [
            image(0.9, "x", image_id=name, path=name, lesion_id=name, patient_id=name,
                  issuer_of_patient_id=name, accession_number=name, study_instance_uid=name,
                  anatomic_region=name, laterality=name, acquisition_datetime=name, flags=[name]),
            image(0.9, "y", image_id=name + "2", path=name + "2"),
        ]  # fmt: skip
        worklist = mornings.night(rows, [unreadable(name)])
        text = as_csv(worklist.lesions)
        lines = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True))
        assert tuple(lines[0]) == LESION_COLUMNS
        assert len(lines) == len(worklist.lesions) + 1
        numbers = {"margin", "score_change"}
        for line in lines[1:]:
            for column, cell in zip(LESION_COLUMNS, line, strict=True):
                assert cell.isprintable()
                if column in numbers:
                    assert cell == "" or float(cell) < 1
                else:
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_mark_copied_from_the_csv_finds_its_lesion(name):
    rows = [image(0.9, "x", image_id=name, lesion_id=name, patient_id=name)]
    mornings = Mornings()
    worklist = mornings.night(rows)
    (line,) = csv.DictReader(io.StringIO(as_csv(worklist.lesions).lstrip("\ufeff")))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["lesion_key", "decision", "reviewed_at"])
    writer.writerow([line["lesion_key"], "seen", "2026-11-01T08:00Z"])
    marks = parse_csv(out.getvalue().encode(), "reviewed.csv")
    assert marks.problems == ()
    found = mornings.night(rows, marks=marks.found)
    assert list(found.lesions["status"]) == ["reviewed"]


def test_the_csv_is_utf_8_with_a_mark_and_reads_back():
    data = table_files(full(("a", "ü", "ß")))["review_worklist.csv"]
    assert data.startswith(b"\xef\xbb\xbf")
    frame = pd.read_csv(io.BytesIO(data))
    assert list(frame["rank"]) == [1, 2, 3, 4]
    assert "ü.jpg" in set(frame["paths"])


def test_the_page_says_what_it_leaves_out():
    worklist = Mornings().night(
        [image(0.9, f"a{n}") for n in range(5)], [unreadable(f"u{n}") for n in range(5)]
    )
    shown = for_page(worklist, most=3)
    assert (len(shown.lesions), len(shown.images), len(shown.unreadable)) == (3, 3, 3)
    assert shown.facts.notes[-2].startswith("7 more lesions, of lower rank, are not on this page")
    assert shown.facts.notes[-1].startswith("2 more images that could not be read")
    assert for_page(worklist).facts.notes == ()


def test_marks_of_lesions_that_the_page_leaves_out_are_exported_all_the_same():
    mornings, images = Mornings(), [image(0.9, f"a{n}") for n in range(3)]
    keys = list(mornings.night(images).lesions["lesion_key"])
    said = {keys[1]: "benign", keys[2]: "excise"}
    marks = [mark(1.3, lesion_key=key, decision=word) for key, word in said.items()]
    data = page_data(for_page(mornings.night(images, marks=marks), most=1), NO_PICTURES)
    assert [lesion["key"] for lesion in data["lesions"]] == [keys[0]]
    kept = {each["key"]: each["decision"] for each in data["kept_marks"]}
    assert kept == said
