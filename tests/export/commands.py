"""The command as a user types it, and its account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch.cli import main


def run(capsys: pytest.CaptureFixture[str], reports: Path, *words: object) -> tuple[int, Any]:
    """Exit code, and the account: of the only receiver, or of all."""
    capsys.readouterr()
    code = main(["export", str(reports), "--json", *map(str, words)])
    said = capsys.readouterr()
    if not said.out:
        return code, said.err
    exports = json.loads(said.out)["exports"]
    for one in exports:
        for what in ("images", "alerts"):
            counts = dict(one[what])
            assert counts.pop("selected") == sum(counts.values()), one
    return code, exports[0] if len(exports) == 1 else exports


def nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def documents(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))
