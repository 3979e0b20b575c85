"""All sources in one table: names of one list, copies in one group, held-out sources whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from batch.core.errors import UsageError
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.training.datasets import dermoscopy
from batch.training.fit import prepare_data
from batch.training.recipes import DERMOSCOPY_CLASSES, ISIC9_CLASSES, find_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """isic9 with two images that stand in ham10000 and isic2017 as well, at another size."""
    root = tmp_path_factory.mktemp("sources")
    for index, label in enumerate(ISIC9_CLASSES):
        for number in range(8):
            write(
                root / "isic9" / "Train" / label, f"ISIC_0{index}{number:05d}", 10 * index + number
            )
    ham = [(f"ISIC_1{n:06d}", ["mel", "nv", "bkl", "akiec"][n % 4], 200 + n) for n in range(40)]
    ham.append(("ISIC_0300001", "mel", 31))  # isic9's melanoma number 1
    for image, _, seed in ham:
        write(root / "ham10000" / "images", image, seed, 224)
    table = pd.DataFrame([(f"HAM_{i // 2}", n, d) for i, (n, d, _) in enumerate(ham)],
                         columns=["lesion_id", "image_id", "dx"])  # fmt: skip
    table.to_csv(root / "ham10000" / "HAM10000_metadata.csv", index=False)
    other = [(f"ISIC_2{n:06d}", ["MEL", "NV", "BKL"][n % 3], 400 + n) for n in range(30)]
    other.append(("ISIC_0400002", "NV", 42))
    for image, _, seed in other:
        write(root / "isic2017" / "images", image, seed, 256)
    pd.DataFrame([(n, d) for n, d, _ in other], columns=["image", "diagnosis"]).to_csv(
        root / "isic2017" / "metadata.csv", index=False
    )
    return root


def write(folder, image, seed, side=180):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{image}.jpg").write_bytes(jpeg_bytes(lesion_image(seed, side, side)))


def test_every_source_speaks_the_same_language(data):
    table = dermoscopy(data).table
    assert set(table["source"]) == {"isic9", "ham10000", "isic2017"}
    assert set(table["label"]) <= set(DERMOSCOPY_CLASSES)
    by_image = table.set_index("image")["label"]
    assert by_image["ISIC_1000003"] == "actinic keratosis"
    assert by_image["ISIC_2000002"] == "benign keratosis"


def test_no_group_crosses_a_split_and_copies_share_one(data):
    dataset = prepare_data(find_recipe("dermoscopy-lite0"), data, seed=1)
    assert (dataset.table.groupby("group")["split"].nunique() == 1).all()
    for image in ("ISIC_0300001", "ISIC_0400002"):
        assert dataset.table.loc[dataset.table["image"] == image, "group"].nunique() == 1
    assert set(dataset.table["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("source", ["isic2017", "ham10000", "isic9"])
def test_a_held_out_source_is_wholly_out_and_takes_its_copies_along(data, source):
    dataset = prepare_data(find_recipe("dermoscopy-lite0", [source]), data, seed=1)
    out = dataset.table["split"] == "held_out"
    assert out[dataset.table["source"] == source].all()
    barred = set(dataset.table.loc[out, "group"])
    assert not barred & set(dataset.table.loc[~out, "group"])
    assert out.sum() > (dataset.table["source"] == source).sum() or source == "isic9"
    assert np.unique(dataset.table.loc[~out, "split"]).tolist() == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("name", "hold_out", "message"),
    [
        ("isic9-plain", ["isic9"], "has one source only"),
        ("dermoscopy-lite0", ["isic2018"], "found \\['isic2018'\\]; allowed: some of"),
        ("dermoscopy-lite0", ["isic9", "ham10000", "isic2017"], "allowed: some of"),
    ],
)
def test_what_cannot_be_held_out_is_said(name, hold_out, message):
    with pytest.raises(UsageError, match=message):
        find_recipe(name, hold_out)
