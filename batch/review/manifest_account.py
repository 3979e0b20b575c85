"""What the page says of the hospital's tables, from `manifest` in run.json. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("without_file", "name no file of the archive"),
    ("ambiguous", "name several files"),
    ("contradicting", "contradict another row"),
    ("duplicate", "say what another row says"),
    ("no_image", "name a file that is no image"),
    ("without_key", "name nothing"),
)


def manifest_sentences(run: Mapping[str, Any]) -> tuple[str, ...]:
    """A summary, and then a sentence for each kind of row or cell to look at; counts only.

    Args:
        run: content of run.json; without a table, or with a damaged account, there is no sentence.
    """
    record = run.get("manifest")
    if not isinstance(record, Mapping):
        return ()
    rows, images = (_counts(record, name) for name in ("rows", "images"))
    if "found" not in rows or "found" not in images:
        return ()
    contradictions = _counts(record, "contradictions")
    differing = sum(contradictions.values())
    summary = (
        f"Rows without a file: {rows.get('without_file', 0):,} of {rows['found']:,}. Images "
        f"without a row: {images.get('without_row', 0):,} of {images['found']:,}. Contradictions: "
        f"{rows.get('contradicting', 0) + differing:,}."
    )
    sentences = [
        summary,
        *(f"{rows[name]:,} rows {text}." for name, text in _ROWS if rows.get(name)),
    ]
    sentences += [
        f"{count:,} images say another {column.replace('_', ' ')} themselves, which counts."
        for column, count in contradictions.items()
        if count
    ]
    sentences += [
        f"{count:,} cells of {word.replace('_', ' ')} were not understood."
        for word, count in _counts(record, "not_understood").items()
        if count
    ]
    sentences += [
        f"{count:,} images: {word.replace('_', ' ')} withheld by the level of identifiers."
        for word, count in _counts(record, "withheld").items()
        if count
    ]
    return tuple(sentences)


def _counts(record: Mapping[str, Any], name: str) -> dict[str, int]:
    part = record.get(name)
    if not isinstance(part, Mapping):
        return {}
    return {
        str(word): count
        for word, count in part.items()
        if isinstance(count, int) and not isinstance(count, bool)
    }
