"""HAM10000's and ISIC 2017's own tables as manifests and labels; needs MELANOMA_BATCH_DATA."""

from __future__ import annotations

import sys

import pytest

from tests.tools import five_nights


def test_every_account_of_five_nights_adds_up(real_data, tmp_path, monkeypatch, capsys):
    for name in ("ham10000/HAM10000_metadata.csv", "isic2017/metadata.csv"):
        if not (real_data / name).is_file():
            pytest.skip(f"MELANOMA_BATCH_DATA has no {name}")
    words = ["five_nights", "--data", str(real_data), "--output", str(tmp_path), "--images", "30"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        five_nights.main()
    told = capsys.readouterr().out
    assert ended.value.code == 0, told
    assert told.count("night ") == 5 and "revised" in told and "contradicting" in told
    for source in ("ham10000", "isic2017"):
        page = (tmp_path / f"evaluate-{source}.html").read_text()
        assert "<h2>Coverage</h2>" in page and "promised sensitivity" in page
    assert "By dx_type" in (tmp_path / "evaluate-ham10000.html").read_text()
    page = (tmp_path / "reports" / "latest" / "review_worklist.html").read_text()
    assert "Images without a row: 1 of 151" in page
