"""Tables of a hospital: CSV as spreadsheets save it, Excel, Parquet; and what is refused."""

from __future__ import annotations

import io

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.archive.manifest_file import parse_map, read_manifests, table_of
from batch.archive.manifest_values import Facts
from batch.core.errors import UsageError

ROW = Facts(patient="P1", acquired="2025-12-31", age=62.5)
TEXT = "Pfad;Patient;Datum;Alter\na/1.jpg;P1;31.12.2025;62,5\n"


def excel(rows) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def parquet(**columns) -> bytes:
    sink = io.BytesIO()
    pd.DataFrame(columns).to_parquet(sink)
    return sink.getvalue()


TABLES = {
    "plain.csv": TEXT.encode(),
    "bom.csv": TEXT.encode("utf-8-sig"),
    "windows.csv": TEXT.replace("P1", "P1").encode("cp1252"),
    "utf16.csv": TEXT.encode("utf-16"),
    "sep.csv": ("sep=;\n" + TEXT).encode(),
    "crlf.csv": TEXT.replace("\n", "\r\n").encode(),
    "tabs.tsv": TEXT.replace(";", "\t").encode(),
    "commas.csv": b'path,patient,date,age\na/1.jpg,P1,2025-12-31,"62,5"\n\n,,,\n',
    "book.xlsx": excel(
        [
            ["path", "patient", "date", "age"],
            ["a/1.jpg", "P1", pd.Timestamp("2025-12-31").to_pydatetime(), 62.5],
        ]
    ),
    "table.parquet": parquet(
        path=["a/1.jpg"], patient=["P1"], date=[pd.Timestamp("2025-12-31")], age=[62.5]
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(TABLES[name])
    manifest = read_manifests([tmp_path / name], [])
    assert [(row.key, row.by_path, row.facts) for row in manifest.rows] == [("a/1.jpg", True, ROW)]
    assert manifest.sources[0].rows == 1
    assert manifest.label(0, manifest.rows[0].number).startswith(f"{name} row ")
    assert not manifest.not_understood


def test_a_row_is_numbered_as_a_spreadsheet_does(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text("image,age\na,1\n\nb,x\n,3\n")
    manifest = read_manifests([file], [])
    assert [row.number for row in manifest.rows] == [2, 4]
    assert manifest.without_key == ((0, 5),)
    assert manifest.not_understood == {"age": ((0, 4),)}


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("isic_id,patient_id,lesion_id,anatom_site_general,age_approx,sex,acquisition_day",
         {"image", "patient", "lesion", "site", "age", "sex"}),
        ("lesion_id,image_id,dx,dx_type,age,sex,localization",
         {"image", "lesion", "site", "age", "sex"}),
        ("image,diagnosis,age_approx,sex", {"image", "age", "sex"}),
        ("image_name,patient_id,fitzpatrick_skin_type", {"image", "patient", "skin_type"}),
    ],
)  # fmt: skip
def test_isics_own_tables_are_read_as_they_are(tmp_path, heads, words):
    file = tmp_path / "metadata.csv"
    file.write_text(f"{heads}\nISIC_1{',' * heads.count(',')}\n")
    assert set(read_manifests([file], []).sources[0].columns.values()) == words


def test_other_names_are_mapped(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text("Bildname,PatNr,image\na,P1,x\n")
    manifest = read_manifests([file], ["Bildname=image", "PatNr=patient_id"])
    assert [(row.key, row.facts) for row in manifest.rows] == [("a", Facts(patient="P1"))]


@pytest.mark.parametrize(
    ("text", "pairs", "wanted"),
    [
        ("path,image\na,b\n", [], "could both name the file"),
        ("image,isic_id\na,b\n", [], "could both name the file"),
        ("image,Image\na,b\n", [], "2 columns"),
        ("image,age,age\na,1,2\n", [], "2 columns"),
        ("patient,age\nP1,3\n", [], "needed: one with the file"),
        ("", [], "(none)"),
        ("image,age\na,1,2\n", [], "row 2"),
        ('image,age\n"a,1\n', [], "cannot be read as CSV"),
        ("image,age\na,1\n", ["dog=patient"], "no table"),
        ("image,age\na,1\n", ["age=dog"], "allowed: THEIRS=OURS"),
        ("image,age\na,1\n", ["age"], "allowed: THEIRS=OURS"),
        ("image,a,b\nx,1,2\n", ["a=age", "b=age"], "two columns"),
        ("image,a\0b\nx,1\n", [], "no text"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(tmp_path, text, pairs, wanted):
    file = tmp_path / "m.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=wanted.replace("(", r"\(").replace(")", r"\)")):
        read_manifests([file], pairs)


def test_a_column_is_left_out_by_none(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text("path,image\na,b\n")
    (row,) = read_manifests([file], ["image=none"]).rows
    assert (row.key, row.by_path) == ("a", True)


@pytest.mark.parametrize("name", ["m.csv", "m.xlsx", "m.parquet", "m.xls"])
def test_a_missing_or_damaged_file_is_a_usage_error(tmp_path, name):
    with pytest.raises(UsageError, match="cannot read"):
        read_manifests([tmp_path / name], [])
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf\xff PK\x03\x04 damaged")
    with pytest.raises(UsageError, match="--manifest: "):
        read_manifests([tmp_path / name], [])


@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.xlsx", "a.parquet"]))
def test_any_bytes_are_read_or_refused(data, name):
    try:
        heads, rows = table_of(name, data)
    except UsageError:
        return
    assert all(len(row) == len(heads) for _, row in rows)


def test_a_map_may_use_the_published_names():
    assert parse_map(["Nr=patient_id", "Foto = image"]) == {"nr": "patient", "foto": "image"}
