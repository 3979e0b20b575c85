"""The hospital's table on the morning's page: counts, no cell, nothing of a damaged account."""

from __future__ import annotations

import pytest

from batch.review.manifest_account import manifest_sentences

RECORD = {
    "rows": {"found": 1200, "used": 3, "without_file": 1195, "contradicting": 2, "duplicate": 0},
    "images": {"found": 5, "with_row": 3, "without_row": 2},
    "contradictions": {"patient": 1},
    "not_understood": {"acquisition_date": 4},
    "withheld": {"patient": 3},
}


def test_the_summary_counts_and_each_kind_has_a_sentence():
    summary, *others = manifest_sentences({"manifest": RECORD})
    assert summary == (
        "Rows without a file: 1,195 of 1,200. Images without a row: 2 of 5. Contradictions: 3."
    )
    assert others == [
        "1,195 rows name no file of the archive.",
        "2 rows contradict another row.",
        "1 images say another patient themselves, which counts.",
        "4 cells of acquisition date were not understood.",
        "3 images: patient withheld by the level of identifiers.",
    ]


@pytest.mark.parametrize("run", [
    {}, {"manifest": None}, {"manifest": []}, {"manifest": {}}, {"manifest": {"rows": 3}},
    {"manifest": {"rows": {"found": "x"}, "images": {"found": 1}}},
])  # fmt: skip
def test_without_a_table_or_with_a_damaged_account_nothing_is_said(run):
    assert manifest_sentences(run) == ()
