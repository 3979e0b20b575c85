"""Which judged images a model was trained on: by digest, and by names inside longer names."""

from __future__ import annotations

import pandas as pd
import pytest

from batch.core.errors import UsageError
from batch.evaluation.trained_on import OwnImages, named_as_trained, own_images, trained_on


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("ISIC_0000169", "ISIC_0000169.jpg", True),
        ("ISIC_0000169", "a/L1_20261124_ISIC_0000169.jpg", True),
        ("ISIC_0000169", "L1_20261124_ISIC_0000169_copy.dcm", True),
        ("ISIC_0000169", "isic-0000169 (2).png", True),
        ("ISIC_0000169", "ISIC_00001690.jpg", False),
        ("ISIC_0000169", "XISIC_0000169.jpg", False),
        ("ISIC_0000169", "ISIC_x_0000169.jpg", False),
        ("ISIC_0000169", "0000169.jpg", False),
        ("ISIC_0000169", "ISIC_0000169/other.jpg", False),  # the file's own name counts
        ("IMG_12", "ward_IMG_12.jpg", True),  # six characters
        ("IMG_1", "ward_IMG_1.jpg", False),  # five
        ("IMG_1", "IMG_1.jpg", True),  # the whole name always counts
        ("melanoma", "ward_melanoma_7.jpg", False),  # no digit
        ("images", "x_images_1.jpg", False),
    ],
)
def test_a_training_name_counts_as_whole_words(name, path, expected):
    assert named_as_trained([path], [name, "OTHER_77"]).tolist() == [expected]


def test_without_names_nothing_is_named_so():
    assert named_as_trained(["a.jpg", "ISIC_1.jpg"], []).tolist() == [False, False]


def test_an_image_counts_once_though_both_digest_and_name_are_known():
    judged = pd.DataFrame(
        {"path": ["x_NAME_001.jpg", "b.jpg", "NAME_001.png", "c.jpg"],
         "content_sha256": ["A", "A", "C", "D"]}
    )  # fmt: skip
    own = OwnImages(frozenset("A"), frozenset("D"), frozenset(["NAME_001"]))
    assert trained_on(judged, own) == {"by_digest": 2, "by_name": 2, "images": 3}
    assert trained_on(judged, None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("image,split\na,train\n", None),
        ("content_sha256,split\nA,train\nB,test\nC,validation\n", ("A", "BC", [])),
        ("image,content_sha256,split\nn,A,train\nm,B,test\nk,,train\n", ("A", "B", ["n", "k"])),
    ],
)
def test_the_split_is_read(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "split.csv").write_text(text)
    own = expected and OwnImages(*(frozenset(part) for part in expected))
    assert own_images(tmp_path) == own


@pytest.mark.parametrize("data", [b"", b"image,split\n\xff\xfe,train\n", b'a,b\n"x,y\n1,2,3\n'])
def test_a_split_that_is_no_table_is_told(tmp_path, data):
    (tmp_path / "split.csv").write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read; allowed: the CSV"):
        own_images(tmp_path)
