"""Three nights over real images, and what each morning's list says of them.

    MELANOMA_BATCH_DATA=DATA python -m tests.support.story REPORTS

The camera originals of `DATA/full_resolution` become an archive of made-up patients with ten
lesions each. Night by night images arrive, a lesion is photographed again, a file is cut short and
later repaired, an alert's image is deleted, a night runs twice, and the model changes. In between
a reviewer writes `reviewed.csv`. Every list is compared with `tests.support.expected_worklist`,
which knows README's rules and no line of the program; the exit code is 1 when a lesion stands
otherwise.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pandas as pd

from batch import cli
from batch.commands import score as score_command
from batch.review.inputs import WORKLIST
from tests.support.expected_worklist import Expected

PATTERN = r"^(?P<patient>[^/]+)/(?P<lesion>[^/]+)/"
FIRST = datetime(2026, 11, 2, 2, tzinfo=UTC)
WRITTEN_AT = 1_735_689_600
"""2025-01-01: a younger file that cannot be read would wait for another night."""
SHOWN = 6


def lesion_of(path: str) -> str:
    """The key that README promises for the pattern."""
    patient, lesion, _ = path.split("/")
    return f"PATTERN:{patient}/{lesion}"


@dataclass
class Story:
    """An archive and its reports. pictures: files that arrive in their order."""

    root: Path
    reports: Path
    pictures: list[Path]
    expected: Expected = field(default_factory=Expected)
    wrong: list[str] = field(default_factory=list)
    lists: list[pd.DataFrame] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)
    arrived: int = 0

    def arrive(self, count: int, *, visit: int = 1, lesion: str | None = None) -> list[Path]:
        """The next pictures, each of a lesion of its own or all of one."""
        made = []
        for number in range(self.arrived, self.arrived + count):
            name = lesion or f"patient-{number // 10:02d}/lesion-{number:03d}"
            path = self.root / name.removeprefix("PATTERN:") / f"visit-{visit}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write(path, self.pictures[number].read_bytes())
            made.append(path)
        self.arrived += count
        return made

    def write(self, path: Path, data: bytes) -> None:
        """A file of an old archive."""
        path.write_bytes(data)
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))

    def night(self, number: int, model: str, hours: float = 0, *words: str) -> pd.DataFrame:
        """Score; the list, compared with what it must be."""
        begun = FIRST + timedelta(days=number - 1, hours=hours)

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return begun.astimezone(tz) if tz else begun.astimezone().replace(tzinfo=None)

        command = ["score", str(self.root), "--output", str(self.reports), "--model", model]
        command += ["--lesion-pattern", PATTERN, "--max-unscored-rate", "1", *words]
        with mock.patch.object(score_command, "datetime", Clock), mock.patch("sys.stdout"):
            code = cli.main(command)
        assert code == 0, code
        folder = self.reports / "latest"
        self.runs.append(json.loads((folder / "run.json").read_text()))
        found = pd.read_parquet(folder / f"{WORKLIST}.parquet").set_index("lesion_key", drop=False)
        self._check(folder, found)
        self.lists.append(found)
        return found

    def review(self, number: int, decisions: dict[str, str]) -> None:
        """Marks of a morning, added to reviewed.csv as the page exports them."""
        file = self.reports / "reviewed.csv"
        is_new = not file.exists()
        when = (FIRST + timedelta(days=number - 1, hours=6.5)).isoformat()
        with file.open("a", newline="") as text:
            writer = csv.writer(text)
            if is_new:
                writer.writerow(["lesion_key", "decision", "reviewer", "reviewed_at"])
            for lesion, decision in decisions.items():
                writer.writerow([lesion, decision, "Dr A", when])
                self.expected.mark(lesion)

    def _check(self, folder: Path, found: pd.DataFrame) -> None:
        scores: dict[str, dict[str, float]] = defaultdict(dict)
        current = pd.read_parquet(folder / "current")
        for path, name, score in zip(
            current["path"], current["image_id"], current["melanoma_score"], strict=True
        ):
            scores[lesion_of(path)][name] = score
        stuck: dict[str, frozenset[str]] = defaultdict(frozenset)
        unscored = pd.read_parquet(folder / "unscored")
        for path, digest in zip(unscored["path"], unscored["content_sha256"], strict=True):
            stuck[lesion_of(path)] |= {f"sha256:{digest}"}
        threshold = self.runs[-1]["model"]["operating_point"]["threshold"]
        wanted = self.expected.night(scores, stuck, threshold)
        listed = {key: (row["tier"], row["status"]) for key, row in found.to_dict("index").items()}
        for key in sorted({*wanted, *listed}):
            if wanted.get(key) != listed.get(key):
                night = self.runs[-1]["run_id"]
                self.wrong.append(f"{night}: {key} is {listed.get(key)}, not {wanted.get(key)}")


def tell(story: Story, title: str) -> None:
    """What the morning's list says, and what became of it since the list before."""
    now, before = story.lists[-1], story.lists[-2] if len(story.lists) > 1 else None
    run = story.runs[-1]
    point = run["model"]["operating_point"]
    print(f"\n{title}\n{'-' * len(title)}")
    print(
        f"model {run['model']['model_id']} {run['model']['model_version']}, threshold "
        f"{point['threshold']:.4f}; {run['equation']['files_found']} files found, "
        f"{run['equation']['scored']} scored, {run['equation']['unscored']} unreadable"
    )
    made = run["review"]["worklist"]
    print(
        f"asks for a look: {_counts(made['lesions'])}; status: {_counts(made['by_status'])}; "
        f"not listed: {made['archive']['below']}; new alerts: {made['new_alerts']}"
    )
    for what, keys in changes(before, now).items():
        print(f"  {what}: {len(keys)}")
        for key in keys[:SHOWN]:
            reason = now.loc[key, "reason"] if key in now.index else "no longer listed"
            print(f"      {key.removeprefix('PATTERN:')}  {reason}")
        if len(keys) > SHOWN:
            print(f"      and {len(keys) - SHOWN} more")
    if made["changed_tier"]:
        print(f"  another tier by score than the night before: {_counts(made['changed_tier'])}")


def changes(before: pd.DataFrame | None, now: pd.DataFrame) -> dict[str, list[str]]:
    """Lesions by what became of them, in the order of the list."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, tier, status in zip(now.index, now["tier"], now["status"], strict=True):
        was = None
        if before is not None and key in before.index:
            was = before.loc[key, "tier"], before.loc[key, "status"]
        if was is None:
            found[f"{status}, {tier}"].append(key)
        elif was != (tier, status):
            found[f"{was[1]}, {was[0]} -> {status}, {tier}"].append(key)
    below = [key for key in now.index if "below_threshold_now" in now.loc[key, "flags"]]
    if below:
        found["open alerts whose score is below the threshold tonight"] = below
    if before is not None and (gone := [key for key in before.index if key not in now.index]):
        found["left the list"] = gone
    return dict(found)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def play(story: Story, models: tuple[str, str], last: tuple[str, ...] = ()) -> None:
    """The three nights, told as they go. last: words for the third night's command."""
    first, second = models
    share = len(story.pictures) // 30
    (cut, *_) = story.arrive(24 * share)[-1:]
    whole = cut.read_bytes()
    story.write(cut, whole[: len(whole) // 2])
    one = story.night(1, first)
    tell(story, "First morning: everything is new; one file is cut short")
    alerts = [key for key in one.index if one.loc[key, "tier"] == "alert"]
    again, closed, gone = alerts[0], alerts[1], alerts[2]
    stuck = next(key for key in one.index if one.loc[key, "tier"] == "unreadable")
    story.review(1, {again: "excise", closed: "no action", stuck: "photograph again"})
    print(f"Dr A marks {again} excise, {closed} no action, {stuck} photograph again.")

    story.arrive(1, visit=2, lesion=again)
    story.arrive(4 * share - 1)
    (story.root / gone.removeprefix("PATTERN:") / "visit-1.jpg").unlink()
    two = story.night(2, first)
    tell(story, f"Second morning: new images, {again} seen again, the image of {gone} deleted")
    story.night(2, first, 1)
    tell(story, "The second night once more")
    near = next(key for key in two.index if two.loc[key, "tier"] == "near_threshold")
    story.review(2, {again: "excise, both visits seen", near: "no action"})
    print(f"Dr A marks {again} again, and {near} no action.")

    story.write(cut, whole)
    story.arrive(len(story.pictures) - story.arrived)
    story.night(3, second, 0, *last)
    tell(story, f"Third morning: {second} instead of {first}; the cut file is whole")
    statuses = Counter(story.lists[-1]["status"])
    print(f"\nAt the end: {_counts(dict(statuses))}.")
    for line in story.wrong:
        print(f"WRONG  {line}")
    if not story.wrong:
        print("Every lesion stands on every list as README's rules say.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, help="new folder for the reports")
    options = parser.parse_args()
    data = os.environ.get("MELANOMA_BATCH_DATA")
    if not data or not (folder := Path(data) / "full_resolution" / "images").is_dir():
        parser.error("MELANOMA_BATCH_DATA names no folder with full_resolution/images.")
    if options.reports.exists():
        parser.error(f"{options.reports} is there already; choose a new folder.")
    with tempfile.TemporaryDirectory() as archive:
        story = Story(Path(archive), options.reports, sorted(folder.iterdir()))
        play(story, ("dermoscopy-lite0", "isic9-plain"), ("--explain", "3"))
    return int(bool(story.wrong))


if __name__ == "__main__":
    sys.exit(main())
