"""CSV files of labels, as programs and spreadsheets write them."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from batch.core.errors import UsageError
from batch.evaluation.label_table import FOUND, in_words_of, read_labels, readings, truth_of
from batch.evaluation.label_words import Vocabulary

EXPECTED = [("m1", "melanoma"), ("n1", "nevus")]
VOCABULARY = Vocabulary.of(("melanoma", "nevus"), "melanoma")


def write(tmp_path, data):
    path = tmp_path / "labels.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "data",
    [
        "image,label\nm1,melanoma\nn1,nevus\n",
        "\ufeffimage,label\r\nm1,melanoma\r\nn1,nevus\r\n",
        "image;label\nm1;melanoma\nn1;nevus\n",
        "sep=;\r\nimage;label\r\nm1;melanoma\r\nn1;nevus\r\n",
        "\ufeffsep=,\nimage,label\nm1,melanoma\nn1,nevus\n",
        "image\tlabel\nm1\tmelanoma\nn1\tnevus\n",
        '"image","label"\n"m1","melanoma"\n"n1","nevus"\n',
        '"image", "label"\n"m1", "melanoma"\n n1 , "nevus"\n',
        "Image, LABEL \nm1,melanoma\nn1,nevus\n",
        "image,label\nm1,melanoma,\nn1,nevus,,\n",  # a comma too many, nothing behind it
        "image,label\n\nm1,melanoma\n,\nn1,nevus",
        "note,label,image\n\"a, b; c\",melanoma,m1\nx,nevus,n1\n",
        "image;label;age\nm1;melanoma;55,5\nn1;nevus;\n",
        "image,label\nm1,melanoma\nn1,nevus\n".encode("utf-16"),
        "image\tlabel\r\nm1\tmelanoma\r\nn1\tnevus\r\n".encode("utf-16"),
    ],
)  # fmt: skip
def test_every_form_of_the_same_table_reads_the_same(tmp_path, data):
    table, key = read_labels(write(tmp_path, data), None)
    assert key == "image"
    assert list(zip(table["image"], table["label"].str.strip(), strict=True)) == EXPECTED


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "columns \\[\\]; needed: label"),
        ("image,label\nm1,melanoma,superficial\n", "line 2 of .* has 3 values; allowed: 2"),
        ("image;label\nm1;melanoma, in situ;x\n", "in quotes"),
        ('image,label\n"m1,melanoma\n', "is no CSV"),
        ("image,label,label\nm1,melanoma,nevus\n", "2 columns 'label'; allowed: one"),
        ("image,label,Label\nm1,melanoma,nevus\n", "2 columns 'label'; allowed: one"),
        ("image,Image,label\nm1,m2,nevus\n", "2 columns 'image'"),
        (b"image,label\nm1,n\x81vus\n", "no CSV in UTF-8, Windows-1252 or marked UTF-16. Save it"),
        (b"image,label\nm1,n\xe4v\0us\n", "no CSV in UTF-8"),
        (b"\xef\xbb\xbfimage,label\nm1,n\xe4vus\n", "no CSV in UTF-8"),
    ],
)
def test_a_table_that_could_be_read_wrongly_is_refused(tmp_path, data, message):
    with pytest.raises(UsageError, match=message):
        read_labels(write(tmp_path, data), None)


def test_the_words_are_the_models_and_what_stood_there_is_told(tmp_path):
    data = "image,label\nm1,melanoma\nn1,NV\nn2, Nevus\nn3,nevus \nx,\ny,NaN\n"
    table = in_words_of(read_labels(write(tmp_path, data), None)[0], VOCABULARY)
    assert list(table["label"]) == ["melanoma", "nevus", "nevus", "nevus", "", ""]
    assert list(table[FOUND])[1] == "NV"
    assert readings(table) == {
        "NV": {"read_as": "nevus", "rows": 1},
        "NaN": {"read_as": "", "rows": 1},
        "Nevus": {"read_as": "nevus", "rows": 1},
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_letters_beyond_ascii_read_the_same_in_every_encoding(tmp_path, encoding):
    data = "image;label\nMüller_1;nævus – „alt“\n".encode(encoding)
    table, _ = read_labels(write(tmp_path, data), None)
    assert table.iloc[0].tolist() == ["nævus – „alt“", "Müller_1"]


@pytest.mark.parametrize(
    ("heads", "key"),
    [
        ("image,label", "image"), ("isic_id,dx", "image"), ("File_Name,Diagnosis", "image"),
        ("path,histology", "path"), ("SOPInstanceUID,icd10", "image_id"),
        ("sop_instance_uid,ICD-10", "image_id"), ("accession,label", "accession_number"),
        ("StudyInstanceUID,morphology", "study_instance_uid"), ("lesion,label", "lesion_id"),
        ("lesion_id,label", "lesion_id"), ("patient,label", "patient_id"),
        ("content_sha256,label", "content_sha256"), ("pseudonym,label", "patient_pseudonym"),
    ],
)  # fmt: skip
def test_the_names_of_columns_that_hospitals_have(tmp_path, heads, key):
    table, found = read_labels(write(tmp_path, f"{heads}\na,melanoma\n"), None)
    assert found == key
    assert table[[key, "label"]].to_numpy().tolist() == [["a", "melanoma"]]


def test_a_lesion_beside_an_image_is_its_group(tmp_path):
    data = "lesion_id,image_id,dx,localization,age\nL1,I1,nv,scalp,80.0\n"
    table, key = read_labels(write(tmp_path, data), None)
    assert key == "image_id"
    assert table.iloc[0].to_dict() == {
        "label": "nv", "image_id": "I1", "group": "L1", "site": "scalp", "age": "80.0",
    }  # fmt: skip


def test_columns_by_other_names_are_mapped(tmp_path):
    path = write(tmp_path, "Foto;Befund;Laesion\nm1;C43.5;7\n")
    table, key = read_labels(path, None, ["Foto=image", "befund=label", "Laesion=group"])
    assert key == "image"
    assert table.iloc[0].tolist() == ["C43.5", "m1", "7"]


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (["Foto"], "--map: found 'Foto'; allowed: THEIRS=OURS"),
        (["Bild=image"], "THEIRS is one of the columns foto, befund"),
        (["Foto=picture"], "found 'picture' after '='; allowed: label, image_id"),
        (["Foto=image", "Befund=image"], "'image' is given twice"),
    ],
)
def test_a_mapping_of_columns_that_says_nothing_is_refused(tmp_path, maps, message):
    with pytest.raises(UsageError, match=message):
        read_labels(write(tmp_path, "Foto;Befund\nm1;C43.5\n"), None, maps)


def test_isic_one_hot_tables_are_read(tmp_path):
    data = "image,MEL,NV,BCC\na,1.0,0.0,0.0\nb,0,1,0\nc,0,0,0\nd,1,1,0\n"
    table, _ = read_labels(write(tmp_path, data), None)
    assert list(table["label"]) == ["MEL", "NV", "", "MEL+NV"]
    with pytest.raises(UsageError, match=r"'MEL\+NV' 1"):
        truth_of(table, "image")


def test_scores_are_no_labels(tmp_path):
    with pytest.raises(UsageError, match="column mel has '0.7', '0.3'; allowed: 0 and 1"):
        read_labels(write(tmp_path, "image,MEL,NV,BCC\na,0.7,0.3,0\n"), None)


@pytest.mark.parametrize(
    "heads", ["image,diagnosis,icd10", "image,dx,melanoma", "image,MEL,NV,BCC,dx"]
)
def test_two_columns_that_could_be_the_label_are_refused(tmp_path, heads):
    row = ",".join("0" for _ in heads.split(","))
    with pytest.raises(UsageError, match="could each be the label; allowed: one. Say which"):
        read_labels(write(tmp_path, f"{heads}\n{row}\n"), None)


def test_a_column_that_asks_for_melanoma_takes_yes_and_no(tmp_path):
    data = "image,melanoma\na,True\nb,0\nc,nein\nd,\ne,C43.5\n"
    truth = truth_of(read_labels(write(tmp_path, data), None)[0], "image")
    assert list(truth["melanoma"]) == [True, False, False, None, True]
    assert list(truth["key"]) == list("abcde")
    assert list(truth["diagnosis"]) == ["melanoma", "not melanoma", "not melanoma", "", "melanoma"]


COLUMNS = {"image": ["m1", "n1", "x"], "melanoma": [True, False, None]}


def excel(path, *sheets):
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_excel_and_parquet_read_as_csv_does(tmp_path):
    rows = [list(COLUMNS), *zip(*COLUMNS.values(), strict=True)]
    files = [excel(tmp_path / "a.xlsx", rows, []), tmp_path / "a.parquet", tmp_path / "a.csv"]
    pd.DataFrame(COLUMNS).to_parquet(files[1])
    pd.DataFrame(COLUMNS).to_csv(files[2], index=False)
    for file in files:
        truth = truth_of(read_labels(file, None)[0], "image")
        assert list(truth["melanoma"]) == [True, False, None]


def test_numbers_of_excel_are_keys_without_a_fraction(tmp_path):
    path = excel(tmp_path / "a.xlsx", [["accession", "label"], [4711, "C43.5"], [4712.0, "D22"]])
    assert list(read_labels(path, None)[0]["accession_number"]) == ["4711", "4712"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xlsx", b"no zip", "no Excel file that can be read"),
        ("a.parquet", b"no parquet", "no Parquet file that can be read"),
        ("a.xls", b"", "allowed: CSV, Excel"),
    ],
)
def test_a_damaged_or_other_file_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read_labels(tmp_path / name, None)


def test_excel_with_several_sheets_or_values_without_a_head_is_refused(tmp_path):
    rows = [["image", "label"], ["a", "NV"]]
    with pytest.raises(UsageError, match="has 2 sheets with values: Sheet 0, Sheet 1"):
        read_labels(excel(tmp_path / "a.xlsx", rows, rows), None)
    with pytest.raises(UsageError, match="row 3 of .* without a head"):
        read_labels(excel(tmp_path / "b.xlsx", [*rows, ["b", "NV", "x"]]), None)


@given(
    st.lists(
        st.tuples(
            st.text("abcÄß;, 01", min_size=1, max_size=6),
            st.sampled_from(["C43.5", "NV", "", "benign", "8720/2"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_row_has_one_truth_in_any_encoding(tmp_path_factory, rows, separator, encoding):
    rows = [(name, label) for name, label in rows if name.strip()]
    frame = pd.DataFrame(rows, columns=["image", "label"], dtype=object)
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    frame.to_csv(path, index=False, sep=separator, encoding=encoding)
    truth = truth_of(read_labels(path, None)[0], "image")
    expected = {"C43.5": True, "8720/2": True, "NV": False, "benign": False, "": None}
    assert list(truth["melanoma"]) == [expected[label] for _, label in rows]
    assert list(truth["key"]) == [name.strip() for name, _ in rows]
