"""`melanoma-batch current`: the newest prediction of every image still in the archive."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError
from batch.reports import parquet
from batch.reports.local import LocalReports


@dataclass(frozen=True)
class ModelCount:
    """Images of the current view with the same model and operating point."""

    model_id: str
    model_version: str
    operating_point: str
    threshold: float
    images: int
    alerts: int


@dataclass(frozen=True)
class CurrentView:
    """Counts of the current view.

    folder: of its dataset.
    images: with a score.
    unscored: images without a score, for a person to look at.
    models: images by model and operating point.
    """

    folder: Path
    images: int
    unscored: int
    models: tuple[ModelCount, ...]

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON can hold them."""
        return asdict(self) | {"folder": str(self.folder)}


_KEYS = ("model_id", "model_version", "operating_point", "threshold")


def count_current(storage: LocalReports) -> CurrentView:
    """Count the current view.

    Raises:
        UsageError: no night was published.
    """
    folder = _current_folder(storage)
    rows = parquet.count_by(folder, [*_KEYS, "is_alert"])
    counts: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        image_and_alert_count = counts.setdefault(tuple(row[key] for key in _KEYS), [0, 0])
        image_and_alert_count[0] += row["rows"]
        image_and_alert_count[1] += row["rows"] if row["is_alert"] else 0
    return CurrentView(
        folder=folder,
        images=sum(row["rows"] for row in rows),
        unscored=parquet.count_rows(folder.parent / "unscored"),
        models=tuple(
            ModelCount(*key, *image_and_alert_count)
            for key, image_and_alert_count in sorted(counts.items())
        ),
    )


def describe_current(view: CurrentView) -> str:
    """The counts of the current view as lines for a person."""
    lines = [f"Current    {view.images:>8} images have a score"]
    lines += [
        f"           {model.images:>8} by {model.model_id} {model.model_version}, "
        f"{model.alerts} of them alerts at {model.operating_point} ({model.threshold:.3f} or more)"
        for model in view.models
    ]
    lines += [
        f"Unscored   {view.unscored:>8} for a person to look at; no alert does not mean cleared",
        f"Dataset    {view.folder}",
        "",
    ]
    return "\n".join(lines)


def write_current(storage: LocalReports, file: Path) -> int:
    """Write the current view as one Parquet file, complete or not at all; return its rows' number.


    Raises:
        UsageError: no night was published, or the file cannot be written.
    """
    folder, reports = _current_folder(storage), storage.root
    if file.suffix != ".parquet":
        raise UsageError(f"--output: found {file.name!r}; allowed: a name that ends in .parquet.")
    if reports in file.parents:
        raise UsageError(f"--output: {file} is inside {reports}; choose a folder outside.")
    try:
        return parquet.copy_dataset("current", folder, file)
    except OSError as error:
        raise UsageError(
            f"--output: cannot write {file} ({error.strerror}). Check its folder and the "
            "permissions there."
        ) from error


def _current_folder(storage: LocalReports) -> Path:
    run_id = storage.latest()
    if run_id is None:
        raise UsageError(
            f"REPORTS: no published night in {storage.place}; run `melanoma-batch score` first."
        )
    folder = storage.whole_night(run_id) / "current"
    if not folder.is_dir():
        raise UsageError(
            f"REPORTS: the night {run_id} has no current view, since an older version of this "
            "program made it. Run `melanoma-batch score` once more."
        )
    return folder
