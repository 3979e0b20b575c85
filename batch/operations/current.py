"""`melanoma-batch current`: the newest prediction of every image still in the archive."""

from __future__ import annotations

from pathlib import Path

from batch.core.errors import UsageError
from batch.reports import parquet
from batch.reports.local import LocalReports


def describe_current(storage: LocalReports) -> str:
    """What the current view holds, in lines for a person.

    Raises:
        UsageError: no night was published.
    """
    folder = _folder(storage)
    rows = parquet.count_by(
        folder, ["model_id", "model_version", "operating_point", "threshold", "is_alert"]
    )
    models: dict[tuple[str, str, str, float], list[int]] = {}
    for row in rows:
        key = row["model_id"], row["model_version"], row["operating_point"], row["threshold"]
        counts = models.setdefault(key, [0, 0])
        counts[0] += row["rows"]
        counts[1] += row["rows"] if row["is_alert"] else 0
    lines = [f"Current    {sum(row['rows'] for row in rows):>8} images have a score"]
    lines += [
        f"           {images:>8} by {model} {version}, {alerts} of them alerts at {point} "
        f"({threshold:.3f} or more)"
        for (model, version, point, threshold), (images, alerts) in sorted(models.items())
    ]
    unscored = parquet.count_rows(folder.parent / "unscored")
    lines += [
        f"Unscored   {unscored:>8} for a person to look at; no alert does not mean cleared",
        f"Dataset    {folder}",
        "",
    ]
    return "\n".join(lines)


def write_current(storage: LocalReports, file: Path) -> int:
    """Write the current view as one Parquet file, complete or not at all; the number of rows.

    Raises:
        UsageError: no night was published, or the file cannot be written.
    """
    folder, reports = _folder(storage), storage.root
    if file.suffix != ".parquet":
        raise UsageError(f"--output: found {file.name!r}; allowed: a name that ends in .parquet.")
    if reports in file.parents:
        raise UsageError(f"--output: {file} is inside {reports}; choose a place outside.")
    try:
        return parquet.copy_dataset("current", folder, file)
    except OSError as error:
        raise UsageError(f"--output: cannot write {file} ({error.strerror}).") from error


def _folder(storage: LocalReports) -> Path:
    run_id = storage.latest()
    if run_id is None:
        raise UsageError(
            f"REPORTS: no published night in {storage.place}; run `melanoma-batch score` first."
        )
    folder = storage.whole_night(run_id) / "current"
    if not folder.is_dir():
        raise UsageError(f"REPORTS: the night {run_id} has no current view: an older version's.")
    return folder
