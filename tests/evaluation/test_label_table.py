"""CSV files of labels, as programs and spreadsheets write them."""

from __future__ import annotations

import pytest

from batch.core.errors import UsageError
from batch.evaluation.label_table import FOUND, in_words_of, read_labels, readings
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
