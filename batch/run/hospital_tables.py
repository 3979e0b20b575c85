"""The hospital's tables of one run (`--manifest`): read first, checked with the plan, then used."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from batch.archive.manifest_file import read_manifests
from batch.archive.manifest_match import Matched, check_keys, match_rows
from batch.core.config import JobConfig
from batch.core.records import FileState
from batch.reports import parquet
from batch.run.listed_facts import ListedFacts, manifest_record
from batch.run.memory import keys_of
from batch.run.plan import Plan

logger = logging.getLogger(__name__)
MANIFEST = "manifest"
"""Key in run.json."""

_PROBLEMS = (
    ("without_file", "name no file of the archive"),
    ("ambiguous", "name several files"),
    ("contradicting", "contradict another row; what they disagree on is left empty"),
    ("duplicate", "say what another row says"),
    ("no_image", "name a file that is no image"),
    ("without_key", "name nothing"),
)
_SHOWN = 3


class HospitalTables:
    """Tables that are read once, and what became of their rows.

    Raises:
        UsageError: when it is made, a table cannot be read.
    """

    def __init__(self, config: JobConfig) -> None:
        self._policy = config.rules.identifiers
        self._root = str(config.archive)
        self._manifest = read_manifests(config.manifests, config.manifest_map)
        self._matched, self._listed = Matched(), ListedFacts(Matched(), self._policy)

    def check(self, plan: Plan) -> None:
        """Compare the rows with the listing, before a file is read.

        Raises:
            UsageError: most names stand for several files.
        """
        if self._manifest.sources:
            files = [os.fsdecode(key) for key in plan.listing["key"].to_pylist()]
            check_keys(
                self._manifest, [file for file in files if not file.endswith("/")], self._root
            )

    def listed_facts(self, files: Path) -> ListedFacts:
        """What the tables say of the images of the night.

        Args:
            files: the night's table `files`.
        """
        if self._manifest.sources:
            rows = parquet.read_columns("files", files, ["path", "path_bytes", "state"])
            is_other = pc.equal(rows["state"], FileState.NON_IMAGE.value)
            others, images = (
                [os.fsdecode(key) for key in keys_of(rows.filter(mask)).to_pylist()]
                for mask in (is_other, pc.invert(is_other))
            )
            self._matched = match_rows(self._manifest, images, others, self._root)
            self._listed = ListedFacts(self._matched, self._policy)
        return self._listed

    def into(self, run: dict[str, Any]) -> None:
        """Add the account to the content of run.json, if there is a table."""
        if self._manifest.sources:
            run[MANIFEST] = manifest_record(
                self._manifest, self._matched, self._listed, self._policy
            )
            rows = run[MANIFEST]["rows"]
            logger.info("manifest: %d rows, %d of them used", rows["found"], rows["used"])


def manifest_lines(run: Mapping[str, Any]) -> list[str]:
    """Lines for the summary: what became of the rows, and which images have none."""
    record = run.get(MANIFEST)
    if record is None:
        return []
    rows, images, examples = record["rows"], record["images"], record["examples"]
    lines = [
        f"Manifest   {rows['found']:>8} rows, {rows['used']} of them used; {images['with_row']} "
        f"images have a row, {images['without_row']} have none"
    ]
    for name, words in _PROBLEMS:
        if rows[name]:
            lines.append(f"           {rows[name]:>8} rows {words}{_which(examples.get(name, []))}")
    for word, count in record["not_understood"].items():
        which = _which(examples.get(f"not_understood:{word}", []))
        lines.append(f"           {count:>8} cells of {word} NOT UNDERSTOOD{which}")
    for column, count in record["contradictions"].items():
        lines.append(f"           {count:>8} images say another {column} themselves, which counts")
    for what, count in record["withheld"].items():
        lines.append(f"           {count:>8} images: {what} withheld, {_REMEDIES[what]}")
    return lines


_REMEDIES = {
    "patient": "for want of --patient-key-file or --identifiers full",
    "lesion": "for want of --patient-key-file or --identifiers full",
    "person": "by --identifiers none",
}


def _which(places: list[str]) -> str:
    shown = ", ".join(places[:_SHOWN])
    return f" ({shown}{', …' if len(places) > _SHOWN else ''})" if places else ""
