"""SIGKILL at random instants: `python -m tests.scenarios.faults.kills --kills 40 --files 1200
--seed 0`.

Makes an archive whose first quarter was scored in a first night, and lets a second night run to
its end: the reference. From the state after the first night the second is then started again and
again, each start killed with its whole process group: while it starts, loads the model, works on a
segment, gathers the tables, publishes, or cleans up. A night that was published in spite of it is
compared with the reference and everything begins anew; at the end one run goes to its end.

Printed for every kill: the phase, the segments committed before and after it, the files lost and
to be done again, and whether `latest` was one whole night. The exit code is 1 when a file was lost,
more than a segment has to be done again, `latest` was not whole, or a row of any table differs from
the reference, run_id and times apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from batch.demo import dicom_writer
from tests.scenarios.faults.nights import (
    committed,
    damages,
    differences,
    files_to_read,
    kill,
    largest_score_difference,
    start,
    write_file,
    write_image,
)
from tests.support.archives import REPOSITORY, dicom_bytes
from tests.support.small_model import SCORE

PHASES = ("start", "model", "segment", "gathering", "publication", "end")
Score = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Scene:
    """What every start begins from.

    start: reports after the first night. reference: the second night when nothing happens.
    to_read: files that it reads. gathering: seconds that its tables took.
    """

    folder: Path
    start: Path
    reference: Path
    to_read: int
    gathering: float
    segment_size: int

    @property
    def reports(self) -> Path:
        """The reports folder of the killed runs."""
        return self.folder / "reports_b"

    def words(self, reports: Path) -> list[str]:
        """The command line of a night."""
        return _words(self.folder / "archive", reports, self.segment_size)

    def begin_anew(self) -> None:
        """Forget what the killed runs left."""
        shutil.rmtree(self.reports, ignore_errors=True)
        shutil.copytree(self.start, self.reports, symlinks=True)


@dataclass
class Kill:
    """One killed run. phase: in which it was; `ended` when it was faster than the kill."""

    phase: str
    before: int
    after: int
    lost: int
    redone: int
    whole: bool
    published: bool
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.phase:<11}  segments {self.before:>2} -> {self.after:>2}  "
            f"files lost {self.lost}, to do again {self.redone:>3}  "
            f"latest {'whole' if self.whole else 'NOT WHOLE'}"
            f"{', published' if self.published else ''}"
            + "".join(f"\n    VIOLATION: {violation}" for violation in self.violations)
        )


@dataclass(frozen=True)
class Seen:
    """The reports folder at one instant."""

    works: frozenset[str]
    nights: frozenset[str]
    latest: str
    files: frozenset[str]
    segments: int


def logs_of(reports: Path) -> list[str]:
    """Names of the logs, an attempt's own record left out."""
    return [name for name in os.listdir(reports / "logs") if name.endswith(".log")]


def make_scene(folder: Path, files: int, segment_size: int, seed: int, score: Score) -> Scene:
    """Write the archive and run both nights."""
    archive, begin, reference = folder / "archive", folder / "reports_0", folder / "reports_a"
    write_archive(archive, range(files // 4), seed)
    assert score(_words(archive, begin, segment_size)) == 0
    write_archive(archive, range(files // 4, files), seed)
    shutil.copytree(begin, reference, symlinks=True)
    before = set(logs_of(begin))
    assert score(_words(archive, reference, segment_size)) == 0
    (log,) = set(logs_of(reference)) - before
    to_read = files_to_read(reference / "logs" / log)
    assert to_read
    night = reference / os.readlink(reference / "latest")
    gathering = json.loads((night / "run.json").read_text())["seconds"]["reports"]
    return Scene(folder, begin, night, to_read, gathering, segment_size)


def write_archive(root: Path, numbers: Sequence[int], seed: int) -> None:
    """Files of all kinds, each with content of its own."""
    noise = np.random.default_rng(seed)
    for number in numbers:
        name = f"{number % 7}/{number:05d}"
        if number % 20 == 3:
            write_file(root / f"{name}.jpg", b"\xff\xd8\xff" + noise.bytes(300 + number))
        elif number % 40 == 5:
            write_file(root / f"{name}.txt", f"note {number} of {seed}".encode())
        elif number % 50 == 7:
            pixels = noise.integers(0, 256, (60, 60, 3), dtype=np.uint8)
            photograph = dicom_writer.dermoscopic_photograph(pixels, 1, number, 1, number % 2 == 0)
            write_file(root / f"{name}.dcm", dicom_bytes(photograph))
        elif number % 2:
            write_image(root / f"{name}.png", seed * 1_000_000 + number)
        else:
            write_image(root / f"{name}.jpg", seed * 1_000_000 + number, quality=90)


def kill_once(scene: Scene, target: str, chance: random.Random) -> Kill:
    """Start the night and kill it in a phase, at a random instant of it."""
    before = look(scene.reports)
    logs = set(logs_of(scene.reports))
    process = start(scene.words(scene.reports), scene.folder / "said")
    moment = _Moment(scene, target, before, chance)
    while process.poll() is None and not moment.has_come():
        time.sleep(0.0005)
    ended = process.poll() is not None
    kill(process)
    return _judge(scene, before, logs, ended)


def _judge(scene: Scene, before: Seen, logs: set[str], ended: bool) -> Kill:
    after = look(scene.reports)
    published = bool(after.nights - before.nights)
    at_work = _files_at_work(scene, before, after)
    lost = 0 if published else len(before.files - after.files)
    latest = scene.reports / "runs" / after.latest
    broken = damages(latest)
    new = set(logs_of(scene.reports)) - logs
    planned = files_to_read(scene.reports / "logs" / new.pop()) if new else None
    found = Kill(
        "ended" if ended else _phase(scene.reports, before, after),
        before.segments,
        after.segments,
        lost,
        at_work,
        not broken,
        published,
        broken,
    )
    if planned is not None and planned != scene.to_read - len(before.files):
        found.violations.append(
            f"{planned} files to be read, {len(before.files)} of {scene.to_read} were committed"
        )
    if lost:
        found.violations.append(f"{lost} files were committed and are not any more")
    if at_work > scene.segment_size:
        found.violations.append(f"{at_work} files to do again")
    if after.latest != before.latest and after.latest not in after.nights - before.nights:
        found.violations.append("latest points to another night than the old and the new one")
    return found


def look(reports: Path) -> Seen:
    """What stands in the reports folder."""
    folders = committed(reports)
    rows = [
        path
        for folder in folders
        for part in (folder / "files").glob("*.parquet")
        for path in pq.read_table(part, columns=["path"])["path"].to_pylist()
    ]
    assert len(rows) == len(set(rows)), "a file stands in two committed segments"
    runs = reports / "runs"
    return Seen(
        works=frozenset(_names(reports / ".in-progress")),
        nights=frozenset(name for name in _names(runs) if (runs / name / "_SUCCESS").exists()),
        latest=os.path.basename(os.readlink(reports / "latest")),
        files=frozenset(rows),
        segments=len(folders),
    )


class _Moment:
    """When to kill: a random while after the first sign of the phase."""

    def __init__(self, scene: Scene, target: str, before: Seen, chance: random.Random) -> None:
        self._reports, self._before, self._target = scene.reports, before, target
        left = (scene.to_read - len(before.files)) // scene.segment_size
        self._segments = chance.randrange(left + 1)
        longest = {"start": 1.9, "model": 2.5, "segment": 0.6, "gathering": scene.gathering,
                   "publication": 0.03, "end": 0.02}[target]  # fmt: skip
        self._wait = chance.uniform(0, longest)
        self._end: float | None = time.monotonic() + 0.1 + self._wait if target == "start" else None

    def has_come(self) -> bool:
        """Whether it is time."""
        if self._end is None and self._sign():
            self._end = time.monotonic() + self._wait
        return self._end is not None and time.monotonic() >= self._end

    def _sign(self) -> bool:
        works = set(_names(self._reports / ".in-progress")) - self._before.works
        nights = set(_names(self._reports / "runs")) - self._before.nights
        if self._target == "end":
            latest = os.path.basename(os.readlink(self._reports / "latest"))
            return latest != self._before.latest
        if self._target == "publication" and nights:
            return True
        if not works:
            return bool(nights)
        work = self._reports / ".in-progress" / works.pop()
        if self._target == "publication":
            return (work / "night" / "run.json").exists()
        if self._target == "gathering":
            return (work / "night").exists()
        if self._target == "segment":
            return any(int(name.strip(".")) >= self._segments for name in _names(work / "segments"))
        return True


def _phase(reports: Path, before: Seen, after: Seen) -> str:
    """By what the killed run left."""
    if after.nights - before.nights:
        return "end" if after.latest != before.latest else "publication"
    if set(_names(reports / "runs")) - before.nights:
        return "publication"
    new = after.works - before.works
    if not new:
        return "start"
    work = reports / ".in-progress" / next(iter(new))
    if (work / "night" / "run.json").exists():
        return "publication"
    if (work / "night").exists():
        return "gathering"
    return "segment" if _names(work / "segments") else "model"


def _files_at_work(scene: Scene, before: Seen, after: Seen) -> int:
    """Files of the segment that was at work: the only ones to be done again."""
    new = after.works - before.works
    works = (scene.reports / ".in-progress" / name / "segments" for name in new)
    if not any(name.startswith(".") for work in works for name in _names(work)):
        return 0
    return min(scene.segment_size, scene.to_read - len(after.files))


def compare(scene: Scene, night: Path) -> list[str]:
    """What is wrong with a second night."""
    return damages(night) + differences(night, scene.reference)


def settle(scene: Scene, before: set[str], score: Score) -> list[str]:
    """After a kill that came too late: the night is there, and the next run finds all in order."""
    (second,) = set(_names(scene.reports / "runs")) - before
    found = compare(scene, scene.reports / "runs" / second)
    in_order = os.path.basename(os.readlink(scene.reports / "latest")) == second
    if in_order and not (scene.reports / ".in-progress").exists():
        return found
    if code := score(scene.words(scene.reports)):
        found.append(f"the run after it ended with {code}")
    third = scene.reports / os.readlink(scene.reports / "latest")
    found += damages(third) + differences(third, scene.reference, ("current",))
    if third.name == second or (scene.reports / ".in-progress").exists():
        found.append("the run after it left things undone")
    return found


def kill_many(
    scene: Scene, targets: Sequence[str] | int, chance: random.Random, score: Score,
    say: Callable[[str], object],
) -> list[str]:  # fmt: skip
    """Kill run after run, then run to the end; the violations found.

    Args:
        targets: phases to hit, or how many kills in phases left to chance.
    """
    scene.begin_anew()
    violations: list[str] = []
    first = set(_names(scene.start / "runs"))
    wanted = targets if isinstance(targets, int) else len(targets)
    done = lost = redone = 0
    while done < wanted:
        target = _possible(scene, chance) if isinstance(targets, int) else targets[done]
        found = kill_once(scene, target, chance)
        violations += found.violations
        lost, redone = lost + found.lost, max(redone, found.redone)
        if found.phase != "ended" or not isinstance(targets, int):
            done += 1
        say(f"{done:>3}  {found}")
        if found.published:
            wrong = settle(scene, first, score)
            say(
                f"     published, {'compared: ' + '; '.join(wrong) if wrong else 'as it should be'}"
            )
            violations += wrong
            scene.begin_anew()
    taken_up = len(look(scene.reports).files)
    if code := score(scene.words(scene.reports)):
        violations.append(f"the last run ended with {code}")
    night = scene.reports / os.readlink(scene.reports / "latest")
    wrong = compare(scene, night)
    difference = largest_score_difference(night, scene.reference)
    say(
        f"{done} kills, {lost} files lost, at most {redone} to do again after one; the last night "
        f"took up {taken_up} of {scene.to_read} files.\n"
        f"Against the uninterrupted night: {'; '.join(wrong) or 'every row the same'}; largest "
        f"difference of a score {difference:g}."
    )
    return violations + wrong


def _possible(scene: Scene, chance: random.Random) -> str:
    """A phase that the next run will have: without a file to read it loads no model."""
    left = scene.to_read > len(look(scene.reports).files)
    return chance.choice(PHASES if left else [p for p in PHASES if p not in ("model", "segment")])


def in_a_process(words: Sequence[str]) -> int:
    """A run to its end; the exit code."""
    command = [sys.executable, "-m", "batch", *words]
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL).returncode


def _words(archive: Path, reports: Path, segment_size: int) -> list[str]:
    words = [*SCORE, str(archive), "--output", str(reports)]
    return [*words, "--segment-size", str(segment_size), "--max-unscored-rate", "1"]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--kills", metavar="N", type=int, default=40)
    words.add_argument("--files", metavar="N", type=int, default=1200)
    words.add_argument("--segment-size", metavar="N", type=int, default=100)
    words.add_argument("--seed", metavar="N", type=int, default=0)
    words.add_argument("--folder", metavar="DIR", type=Path, help="new; kept afterwards")
    options = words.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        scene = make_scene(folder, options.files, options.segment_size, options.seed, in_a_process)
        say(f"{options.files} files, {scene.to_read} to be read in the second night")
        chance = random.Random(options.seed)
        violations = kill_many(scene, options.kills, chance, in_a_process, say)
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
