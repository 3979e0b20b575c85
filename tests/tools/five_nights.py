"""Five nights of a hospital, with its own tables, and histology that comes late.

    python -m tests.tools.five_nights --data DATA --output FOLDER

DATA has `ham10000/` and `isic2017/` with `images/` and their own tables. Images that the model did
not learn from arrive night by night. HAM10000_metadata.csv and ISIC 2017's metadata.csv are the
`--manifest` of each night, and the truth that outcomes are made of: some come before the image,
some weeks later, some are revised, some contradict each other. Then `outcomes` and `evaluate` are
called, and the accounts are printed; the exit code is 1 if one does not add up.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from batch import cli
from batch.commands import score as score_command
from batch.model.artifact import find_artifact

MODEL = "dermoscopy-lite2"
FIRST = datetime(2026, 11, 2, 2, tzinfo=UTC)
NIGHTS = 5
WORDS = {
    "mel": "Melanom", "nv": "D22.9", "bcc": "Basalzellkarzinom", "bkl": "BKL", "akiec": "AKIEC",
    "df": "DF", "vasc": "VASC",
}  # fmt: skip
"""What the laboratory writes for a diagnosis of the tables."""


def table(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a table by image."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.get("image_id") or row["image"]: row for row in rows}


def chosen_images(data: Path, images: int, draw: random.Random) -> list[tuple[str, str, str]]:
    """Source, name and diagnosis of images of the test set: a third are melanomas."""
    with (find_artifact(MODEL).folder / "split.csv").open(newline="") as file:
        split = [row for row in csv.DictReader(file) if row["split"] == "test"]
    tables = {"ham10000": table(data / "ham10000" / "HAM10000_metadata.csv"),
              "isic2017": table(data / "isic2017" / "metadata.csv")}  # fmt: skip
    found: dict[bool, list[tuple[str, str, str]]] = {True: [], False: []}
    for row in split:
        source, name = row["source"], row["image"]
        if source not in tables or name not in tables[source]:
            continue
        truth = tables[source][name]
        diagnosis = (truth.get("dx") or truth["diagnosis"]).lower()
        if (data / source / "images" / f"{name}.jpg").is_file():
            found[diagnosis == "mel"].append((source, name, diagnosis))
    for one in found.values():
        draw.shuffle(one)
    third = images // 3
    chosen = found[True][:third] + found[False][: images - third]
    draw.shuffle(chosen)
    return chosen


def call(words: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        code = cli.main(words)
    return code, printed.getvalue()


def night(number: int, archive: Path, reports: Path, data: Path) -> dict:
    """Score at the second hour of a day of November 2026; the run.json."""
    begun = FIRST + timedelta(days=7 * (number - 1))

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return begun.astimezone(tz) if tz else begun.astimezone().replace(tzinfo=None)

    words = ["score", str(archive), "--output", str(reports), "--model", MODEL,
             "--identifiers", "full", "--max-unscored-rate", "1",
             "--manifest", str(data / "ham10000" / "HAM10000_metadata.csv"),
             "--manifest", str(data / "isic2017" / "metadata.csv")]  # fmt: skip
    with mock.patch.object(score_command, "datetime", Clock):
        code, _ = call(words)
    if code:
        raise SystemExit(f"night {number} ended with {code}")
    return json.loads((reports / "latest" / "run.json").read_text())


def write_outcomes(folder: Path, arrived: dict[str, tuple[int, str]], draw: random.Random) -> None:
    """Histology of three quarters of the images, as a laboratory sends it over the months."""
    folder.mkdir()
    files: dict[str, list[list[str]]] = {"2026-11.csv": [], "2026-12.csv": [], "revised.csv": []}

    def add(file: str, name: str, word: str, night_number: int, days: int) -> None:
        day = FIRST + timedelta(days=7 * (night_number - 1) + days)
        files[file].append([f"{name}.JPG", word, f"{day:%d.%m.%Y}"])

    for name, (number, diagnosis) in sorted(arrived.items()):
        kind, word = draw.random(), WORDS[diagnosis]
        if kind < 0.25:
            continue  # never excised
        if kind < 0.30:
            add("2026-11.csv", name, word, number, -3)  # before its first night
        elif kind < 0.65:
            add("2026-11.csv", name, word, number, 4)
        elif kind < 0.80:
            add("2026-12.csv", name, word, number, 45)
        elif kind < 0.92:
            other = "D22.9" if diagnosis == "mel" else "Melanom"
            add("2026-11.csv", name, other, number, 4)
            add("revised.csv", name, word, number, 60)
        else:
            add("2026-11.csv", name, "D22.9", number, 5)
            add("revised.csv", name, "Melanom", number, 5)  # of the same day: contradicts
    files["2026-12.csv"] += [["ISIC_9999999.jpg", "Melanom", "01.12.2026"], ["", "D22.9", ""],
                             ["ISIC_0000000.jpg", "k.A.", "01.12.2026"]]  # fmt: skip
    for file, rows in files.items():
        with (folder / file).open("w", newline="", encoding="cp1252") as text:
            writer = csv.writer(text, delimiter=";")
            writer.writerows([["Bild", "Diagnose", "Datum"], *rows])


def sum_of(counts: dict[str, int], total: str) -> int:
    """What all parts add up to, without the total itself."""
    return sum(count for name, count in counts.items() if name != total)


def said(counts: dict[str, int], total: str) -> str:
    """`3 judged, 1 not found`."""
    return ", ".join(
        f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n and name != total
    )


def tell_night(number: int, run: dict, seconds: float) -> list[str]:
    """Print the ledger and the account of the tables; what does not add up."""
    equation, manifest = run["equation"], run["manifest"]
    rows, images = manifest["rows"], manifest["images"]
    print(
        f"night {number}: {equation['files_found']} files = {said(equation, 'files_found')}; "
        f"{seconds:.0f} s\n  tables: {rows['found']} rows = {said(rows, 'found')}; images: "
        f"{images['with_row']} with a row, {images['without_row']} without",
        flush=True,
    )
    wrong = []
    if sum_of(equation, "files_found") != equation["files_found"]:
        wrong.append(f"night {number}: {equation}")
    if sum_of(rows, "found") != rows["found"]:
        wrong.append(f"night {number}: {rows}")
    return wrong


def tell_outcomes(reports: Path) -> list[str]:
    """Call `outcomes` and print its figures; what does not add up."""
    words = ["--map-label", "k.A.=", "--json", "--target-sensitivity", "0.9"]
    code, printed = call(["outcomes", str(reports), *words])
    if not printed:
        return [f"outcomes ended with {code}"]
    answer = json.loads(printed)
    rows, figures, covered = answer["rows"], answer["figures"], answer["coverage"]["lesions"]
    low, high = figures["sensitivity_interval"]
    least, most = answer["verification"]["sensitivity_bounds"]
    point = answer["local_point"]
    flattering = point["apparent"]
    print(
        f"outcomes: {rows['rows']} rows = {said(rows, 'rows')}\n"
        f"  sensitivity {figures['sensitivity']:.3f} ({low:.3f} to {high:.3f}): "
        f"{figures['true_positive']} of {figures['melanomas']} melanomas had an alert; PPV "
        f"{figures['ppv']:.3f}\n"
        f"  coverage: {covered['labelled']} of {covered['known']} lesions; with the missing ones "
        f"the sensitivity lies between {least:.3f} and {most:.3f}\n"
        f"  local point for 0.9: sensitivity {point['sensitivity']:.3f}, specificity "
        f"{point['specificity']:.3f} by folds; {flattering['sensitivity']:.3f} and "
        f"{flattering['specificity']:.3f} on the lesions that chose it; "
        f"{point['missing_if_all_found']} melanomas missing for that lower bound"
    )
    is_whole = code == 0 and sum_of(rows, "rows") == rows["rows"]
    return [] if is_whole else [f"outcomes ({code}): {rows}"]


def tell_evaluation(name: str, labels: Path, reports: Path, page: Path, *more: str) -> list[str]:
    """Call `evaluate` with a table as it is, and print its figures; what does not add up."""
    words = ["--labels", str(labels), "--model", MODEL, "--min-cell", "5", "--html", str(page)]
    code, printed = call(["evaluate", str(reports), *words, "--json", "-", *more])
    if code:
        return [f"evaluate with {name} ended with {code}"]
    found = json.loads(printed)
    point, counts = found["operating_points"][0], found["counts"]["labels"]
    low, high = point["sensitivity_interval"]
    print(
        f"evaluate with {name}: {counts['rows']} labels = {said(counts, 'rows')}\n"
        f"  {found['by_lesion']['units']} lesions; sensitivity {point['sensitivity']:.3f} "
        f"({low:.3f} to {high:.3f}), specificity {point['specificity']:.3f}"
    )
    return [] if sum_of(counts, "rows") == counts["rows"] else [f"labels of {name}: {counts}"]


def main() -> None:
    """Build, score five times, join, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="new folder")
    parser.add_argument("--images", type=int, default=50, help="new in each night")
    options = parser.parse_args()
    draw, wrong = random.Random(7), []
    archive, reports = options.output / "archive", options.output / "reports"
    archive.mkdir(parents=True)
    images = chosen_images(options.data, NIGHTS * options.images, draw)
    arrived: dict[str, tuple[int, str]] = {}
    for number in range(1, NIGHTS + 1):
        for source, name, diagnosis in images[(number - 1) * options.images :][: options.images]:
            original = options.data / source / "images" / f"{name}.jpg"
            (archive / source).mkdir(exist_ok=True)
            (archive / source / original.name).write_bytes(original.read_bytes())
            arrived[name] = number, diagnosis
        if number == 2:
            (archive / "cut-short.jpg").write_bytes(original.read_bytes()[:2000])
        began = time.perf_counter()
        run = night(number, archive, reports, options.data)
        wrong += tell_night(number, run, time.perf_counter() - began)
    write_outcomes(reports / "outcomes", arrived, draw)
    wrong += tell_outcomes(reports)
    tables = {"HAM10000": "ham10000/HAM10000_metadata.csv", "ISIC 2017": "isic2017/metadata.csv"}
    for name, file in tables.items():
        page = options.output / f"evaluate-{file.split('/')[0]}.html"
        more = ("--by", "dx_type") if name == "HAM10000" else ()
        wrong += tell_evaluation(name, options.data / file, reports, page, *more)
    print("every account adds up" if not wrong else "\n".join(["WRONG", *wrong]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
