"""Rows and Parquet: exactly the published columns, nothing dropped, nothing nulled."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pyarrow.parquet as pq
import pytest

from batch.core.errors import SchemaMismatch
from batch.core.records import FileOutcome, FileState, ImageLocation, Unscored, alert_for
from batch.reports import parquet, rows
from batch.reports.schema import TABLES, contract
from batch.review.outputs import worklist_row
from batch.review.worklist.frames import records
from tests.support.archives import FACTS, POINT, REPOSITORY, prediction
from tests.support.lists import Mornings, image

SAMPLES = {
    "predictions": lambda: rows.prediction_row(prediction(0.7), FACTS),
    "alerts": lambda: rows.alert_row(alert_for(prediction(0.7), POINT), FACTS),
    "unscored": lambda: rows.unscored_row(Unscored("a.jpg", *_why()), FACTS),
    "files": lambda: rows.file_row(
        FileOutcome(
            ImageLocation("a.jpg", 1, 2), FileState.SCORED, None, "", "0", "jpeg", 1, 1, 0, 0
        ),
        FACTS,
    ),
    "silent_predictions": lambda: rows.silent_row(prediction(0.7), FACTS),
    "current": lambda: rows.prediction_row(prediction(0.7), FACTS),
    "review_worklist": lambda: _lesion(),
}


def _lesion():
    (row,) = records(Mornings().night([image(0.7)]).lesions)
    return worklist_row(row, FACTS.run_id)


def _why():
    from batch.core.errors import FailureReason, Stage

    return Stage.READ, FailureReason.VANISHED


@pytest.mark.parametrize("table", TABLES)
def test_the_published_contract_is_what_the_code_writes(table):
    published = json.loads((REPOSITORY / "schemas" / f"{table}.json").read_text())
    assert published == contract(table)


def test_no_contract_is_published_without_a_table():
    assert {path.stem for path in (REPOSITORY / "schemas").glob("*.json")} == set(TABLES)


def test_every_column_is_described_in_the_readme_of_the_schemas():
    text = (REPOSITORY / "schemas" / "README.md").read_text()
    for table, columns in TABLES.items():
        for column in columns:
            assert f"| `{column.name}` | {column.type} |" in text, (table, column.name)


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"review_worklist"}))
def test_a_record_becomes_exactly_the_published_columns(table, tmp_path):
    parquet.write_part(table, [SAMPLES[table]()], tmp_path / "a.parquet")
    found = pq.read_table(tmp_path / "a.parquet")
    assert found.schema.equals(parquet.schema(table))
    assert found.schema.metadata[b"melanoma_batch_schema_version"] == b"5"
    assert len(found) == 1


@pytest.mark.parametrize("table", TABLES)
def test_an_unknown_column_is_an_error(table):
    with pytest.raises(SchemaMismatch, match=r"unknown columns \['melanoma_scoer'\]"):
        parquet.to_arrow(table, [SAMPLES[table]() | {"melanoma_scoer": 1.0}])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("position", [0, -1])
def test_a_missing_column_is_an_error(table, position):
    row = SAMPLES[table]()
    name = list(row)[position]
    del row[name]
    with pytest.raises(SchemaMismatch, match=rf"missing columns \['{name}'\]"):
        parquet.to_arrow(table, [row])


@pytest.mark.parametrize("table", TABLES)
def test_null_is_an_error_where_none_is_allowed_and_fine_where_it_is(table):
    for column in TABLES[table]:
        row = SAMPLES[table]() | {column.name: None}
        if column.nullable:
            assert parquet.to_arrow(table, [row])[column.name].null_count == 1
        else:
            with pytest.raises(SchemaMismatch, match=f"null in column {column.name}"):
                parquet.to_arrow(table, [row])


def test_class_scores_are_readable_by_name_from_pandas(tmp_path):
    parquet.write_part("predictions", [SAMPLES["predictions"]()], tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert dict(frame["class_scores"][0])["melanoma"] == pytest.approx(0.7)
    assert frame["scored_at"][0] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_is_alert_agrees_with_score_and_threshold_as_a_reader_compares_them(tmp_path):
    scores = [0.0, 0.49999999999999994, 0.5, 1.0]
    written = [rows.prediction_row(prediction(s, f"{s}.jpg"), FACTS) for s in scores]
    parquet.write_part("predictions", written, tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert (frame["is_alert"] == (frame["melanoma_score"] >= frame["threshold"])).all()
    assert frame["is_alert"].sum() == 2


def test_rows_are_written_in_the_same_order_however_they_come(tmp_path):
    some = [rows.prediction_row(prediction(0.1, path), FACTS) for path in ("c", "a", "b")]
    parquet.write_part("predictions", some, tmp_path / "one.parquet")
    parquet.write_part("predictions", some[::-1], tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_parts_are_joined_in_order_and_cut_at_a_sane_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "FILE_ROWS", 4)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 2)
    parts = []
    for number in range(5):
        pair = [rows.prediction_row(prediction(0.1, f"{number}{c}"), FACTS) for c in "ab"]
        parts.append(parquet.to_arrow("predictions", pair))
    assert parquet.write_dataset("predictions", parts, tmp_path / "out") == 10
    files = sorted((tmp_path / "out").iterdir())
    assert [pq.read_metadata(file).num_rows for file in files] == [4, 4, 2]
    frame = pd.read_parquet(tmp_path / "out")
    assert list(frame["path"]) == [f"{n}{c}" for n in range(5) for c in "ab"]


@pytest.mark.parametrize("table", ["predictions", "unscored", "files"])
def test_a_table_without_rows_has_the_full_schema(table, tmp_path):
    assert parquet.write_dataset(table, [], tmp_path / table) == 0
    (part,) = (tmp_path / table).iterdir()
    assert pq.read_schema(part).equals(parquet.schema(table))


def test_a_part_with_other_columns_is_refused(tmp_path):
    parquet.write_part("unscored", [SAMPLES["unscored"]()], tmp_path / "a.parquet")
    with pytest.raises(SchemaMismatch, match="predictions: a part has other columns"):
        parquet.read_part("predictions", tmp_path / "a.parquet")


def test_alerts_stand_highest_score_first(tmp_path):
    parts = []
    for scores in ((0.6, 0.9), (0.7,)):
        part = [rows.alert_row(alert_for(prediction(s, f"{s}.jpg"), POINT), FACTS) for s in scores]
        parts.append(parquet.to_arrow("alerts", part))
    assert parquet.write_alerts(parts, tmp_path / "alerts.parquet") == 3
    found = pd.read_parquet(tmp_path / "alerts.parquet")
    assert list(found["melanoma_score"]) == [0.9, 0.7, 0.6]
    assert set(found["review_status"]) == {"UNVERIFIED"}


def test_no_alert_is_a_file_too(tmp_path):
    assert parquet.write_alerts([], tmp_path / "alerts.parquet") == 0
    assert pq.read_schema(tmp_path / "alerts.parquet").equals(parquet.schema("alerts"))


def test_nothing_half_written_has_a_name_that_a_reader_takes(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(parquet.pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        parquet.write_part("files", [SAMPLES["files"]()], tmp_path / "a.parquet")
    assert not list(tmp_path.glob("[!.]*.parquet"))
