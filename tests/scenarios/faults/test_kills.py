"""SIGKILL in a segment, while the tables are gathered, and while the night is published.

The same with forty kills and 1,200 files: `python -m tests.scenarios.faults.kills`.
"""

from __future__ import annotations

import random

from batch.cli import main
from tests.scenarios.faults.kills import kill_many, make_scene


def test_killed_nights_lose_nothing_and_end_as_if_they_had_run_through(tmp_path):
    """The third kill lets a night be published; with the fourth everything has begun anew."""
    scene = make_scene(tmp_path, files=24, segment_size=6, seed=0, score=main)
    said = []
    targets = ("segment", "gathering", "publication", "segment")
    violations = kill_many(scene, targets, random.Random(0), main, said.append)
    assert violations == [], "\n".join(said)
