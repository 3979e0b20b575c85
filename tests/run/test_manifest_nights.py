"""Nights over a small archive with a hospital's table, by the command line.

The table comes, a row changes, a row goes: no image is scored again, and lesions and patients of
the list change with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.archive.manifest_match import Fate
from batch.cli import main
from batch.core.errors import ExitCode
from tests.support.archives import dermoscopic, dicom_bytes
from tests.support.small_model import SCORE

PHOTOGRAPHS = 4
HEAD = "Bild;Patient;Läsion;Lokalisation;Seite;Datum;Geschlecht;Geburtsjahr;Hauttyp;Gerät\n"
ROWS = (
    "a-1;P1;L1;Rücken;links;31.12.2025;w;1960;II;D200\n"
    "a-2;P1;L1;Rücken;links;01.01.2026;w;1960;II;D200\n"
    "b-1;P2;L1;Arm;rechts;;m;1970;;\n"
)
OTHERS = (
    "nowhere;P9;L9;;;;;;;\nbroken-1;P2;L7;;;;;;;\nbroken-2;P2;L7;;;;;;;\n"
    "object;P1;LX;Bein;B;2001-01-01;;;;\n"
)
BROKEN = ("broken-1.png", "broken-2.png")
NAMES = ("--map", "Bild=image", "--map", "Läsion=lesion", "--map", "Gerät=device")


class Nights:
    """An archive, a table and the nights over both."""

    def __init__(self, root: Path) -> None:
        self.root, self.archive, self.reports = root, root / "archive", root / "reports"
        self.table, self.key = root / "liste.csv", root / "key"
        self.archive.mkdir()
        random = np.random.default_rng(3)
        for name in ("a-1", "a-2", "b-1", "c-1"):
            pixels = random.integers(0, 256, (200, 200, 3), np.uint8)
            exif = Image.Exif()
            if name in ("b-1", "a-1"):
                exif.get_ifd(0x8769)[0x9003] = "2020:05:06 07:08:09"
            Image.fromarray(pixels).save(self.archive / f"{name}.jpg", exif=exif)
        pixels = random.integers(0, 256, (200, 200, 3), np.uint8)
        (self.archive / "object.dcm").write_bytes(dicom_bytes(dermoscopic(pixels)))
        for name in BROKEN:  # they are listed whatever the model says
            (self.archive / name).write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
        (self.archive / "notes.txt").write_text("nothing")
        for file in self.archive.iterdir():
            os.utime(file, (1_700_000_000, 1_700_000_000))
        self.key.write_bytes(b"k" * 32)
        self.key.chmod(0o600)

    def write(self, text: str) -> None:
        self.table.write_text(HEAD + text, encoding="utf-8-sig")

    def score(self, *words: str) -> int:
        command = [*SCORE, str(self.archive), "--output", str(self.reports), "--quiet"]
        return main([*command, "--max-unscored-rate", "1", *words])

    def night(self, *words: str) -> dict:
        assert self.score(*words) == ExitCode.COMPLETE
        return json.loads((self.reports / "latest" / "run.json").read_text())

    def rows(self, table: str) -> pd.DataFrame:
        frame = pd.read_parquet(self.reports / "latest" / table)
        return frame.sort_values("path").set_index("path", drop=False)

    def lesions_of(self, *paths: str) -> set[tuple[str, str | None]]:
        """Lesion and patient of some images in the worklist."""
        frame = pd.read_parquet(self.reports / "latest" / "review_worklist.parquet")
        listed = frame[[bool(set(paths) & set(found)) for found in frame["paths"]]]
        assert {path for found in listed["paths"] for path in found} >= set(paths)
        return set(zip(listed["lesion_key"], listed["patient_key"], strict=True))


@pytest.fixture
def nights(tmp_path):
    return Nights(tmp_path)


def adds_up(record: dict) -> None:
    rows, images = record["rows"], record["images"]
    assert rows["found"] == sum(rows[fate.value] for fate in Fate)
    assert images["found"] == images["with_row"] + images["without_row"]


def texts_below(folder: Path) -> str:
    """Everything that the reports say, with the cells of the tables."""
    return "\n".join(
        pd.read_parquet(file).to_csv()
        if file.suffix == ".parquet"
        else file.read_bytes().decode("utf-8", "replace")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    )


def test_a_table_comes_changes_and_goes_and_nothing_is_scored_again(nights):
    everything = ("--identifiers", "full")
    first = nights.night(*everything)
    plain = nights.rows("current")
    assert first["equation"]["scored"] == PHOTOGRAPHS + 1 and "manifest" not in first
    assert plain["acquisition_datetime"]["b-1.jpg"] == "2020-05-06T07:08:09"

    nights.write(ROWS + OTHERS)
    second = nights.night(*everything, "--manifest", str(nights.table), *NAMES)
    assert list(second["identity"]["changed"]) == ["--manifest"]
    record, current = second["manifest"], nights.rows("current")
    adds_up(record)
    assert second["equation"]["scored"] == second["frames"]["predictions"] == 0
    assert {name: count for name, count in record["rows"].items() if count} == {
        "found": 7, "used": 6, "without_file": 1,
    }  # fmt: skip
    assert record["images"] == {"found": 7, "with_row": 6, "without_row": 1}
    assert record["contradictions"] == {
        "patient": 1, "anatomic_region": 1, "laterality": 1, "acquisition_datetime": 1,
    }  # fmt: skip
    assert record["examples"] == {"without_file": ["liste.csv row 5"]}
    a, b = current.loc["a-1.jpg"], current.loc["b-1.jpg"]
    assert (a["patient_id"], a["anatomic_region"], a["laterality"], a["sex"], a["age"]) == (
        "P1", "Rücken", "L", "female", 65.0,
    )  # fmt: skip
    assert (a["fitzpatrick_skin_type"], a["manufacturer_model_name"]) == ("II", "D200")
    assert a["acquisition_datetime"] == "2025-12-31"  # a better one than the camera's
    assert b["acquisition_datetime"] == "2020-05-06T07:08:09" and b["age"] == 50.0
    for path in ("object.dcm", "c-1.jpg"):  # on another patient; without a row
        pd.testing.assert_series_equal(current.loc[path], plain.loc[path])
    assert set(nights.rows("unscored")["patient_id"]) == {"P2"}
    assert nights.lesions_of(*BROKEN) == {("MANIFEST:P2/L7", "|P2")}

    changed = ROWS.replace("a-2;P1;L1", "a-2;P1;L2") + OTHERS.replace("broken-2;P2", "broken-2;P3")
    nights.write(changed)
    third = nights.night()  # the table is remembered, and so are its names
    adds_up(third["manifest"])
    assert third["equation"]["scored"] == third["frames"]["predictions"] == 0
    assert third["manifest"]["files"][0]["sha256"] != record["files"][0]["sha256"]
    now = nights.rows("current")
    assert now["lesion_id"]["a-1.jpg"] != now["lesion_id"]["a-2.jpg"]
    assert current["lesion_id"]["a-1.jpg"] == current["lesion_id"]["a-2.jpg"]
    assert nights.lesions_of(*BROKEN) == {
        ("MANIFEST:P2/L7", "|P2"), ("MANIFEST:P3/L7", "|P3"),
    }  # fmt: skip

    nights.write(ROWS.split("\n", 1)[1])
    fourth = nights.night()
    assert fourth["frames"]["predictions"] == 0 and fourth["manifest"]["rows"]["found"] == 2
    assert pd.isna(nights.rows("current")["patient_id"]["a-1.jpg"])
    assert all(pd.isna(patient) for _, patient in nights.lesions_of(*BROKEN))
    assert len(nights.lesions_of(*BROKEN)) == len(BROKEN)
    assert nights.rows("current")["acquisition_datetime"]["a-1.jpg"] == "2020-05-06T07:08:09"

    last = nights.night("--manifest", "none", "--map", "none")
    assert "manifest" not in last and last["frames"]["predictions"] == 0
    assert "none now" in last["identity"]["changed"]["--manifest"]
    columns = [name for name in plain.columns if name != "run_id"]
    pd.testing.assert_frame_equal(nights.rows("current")[columns], plain[columns])


@pytest.mark.parametrize("level", ["none", "uids", "full"])
@pytest.mark.parametrize("has_key", [False, True])
def test_the_level_of_identifiers_holds_for_a_table(nights, level, has_key):
    nights.write(ROWS.replace("P1", "SECRETPATIENT").replace("L1", "SECRETLESION"))
    key = ("--patient-key-file", str(nights.key)) if has_key else ()
    run = nights.night(
        "--identifiers", level, *key, "--manifest", str(nights.table), *NAMES, "--no-pictures"
    )
    adds_up(run["manifest"])
    row = nights.rows("current").loc["a-1.jpg"]
    text = texts_below(nights.reports)
    assert ("SECRETPATIENT" in text) == ("SECRETLESION" in text) == (level == "full")
    assert pd.notna(row["patient_pseudonym"]) == has_key
    assert pd.notna(row["lesion_id"]) == (level == "full" or (level == "uids" and has_key))
    assert pd.notna(row["sex"]) == (level != "none")
    withheld = run["manifest"]["withheld"]
    assert ("patient" in withheld) == (level != "full" and not has_key)
    assert ("lesion" in withheld) == pd.isna(row["lesion_id"])
    logs = b"".join(file.read_bytes() for file in (nights.reports / "logs").iterdir())
    assert b"SECRET" not in logs and b"liste" not in logs


def test_a_table_that_cannot_be_read_or_is_ambiguous_ends_the_run_before_it_reads(nights, capsys):
    assert nights.score("--manifest", str(nights.root / "no.csv")) == ExitCode.USAGE
    assert "--manifest: cannot read" in capsys.readouterr().err
    (nights.archive / "copy").mkdir()
    for name in ("a-1.jpg", "a-2.jpg", "b-1.jpg"):
        (nights.archive / "copy" / name).write_bytes((nights.archive / name).read_bytes())
    nights.write(ROWS)
    assert nights.score("--manifest", str(nights.table), *NAMES) == ExitCode.USAGE
    assert "of 3 rows with a name that the archive has, 3 name several" in capsys.readouterr().err
    assert not (nights.reports / "latest").exists()
