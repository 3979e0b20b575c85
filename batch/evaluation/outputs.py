"""The files that `evaluate` writes: checked first, and written completely or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from batch.core.errors import UsageError
from batch.core.location import whole_path
from batch.evaluation.evaluate import Evaluation

STDOUT = "-"


@dataclass(frozen=True)
class Outputs:
    """Files to write; None for those that were not asked for.

    json: the measures; with STDOUT the caller prints them.
    missed: the missed melanomas.
    isic_csv: predictions in a format of ISIC.
    html: the report as a page.
    isic_format: a key of `isic_format.FORMATS`.
    """

    json: str | None
    missed: Path | None
    isic_csv: Path | None
    isic_format: str
    html: Path | None = None

    def files(self) -> dict[str, Path]:
        """Option to file, for files that were asked for."""
        paths = {
            "--json": Path(self.json) if self.json not in (None, STDOUT) else None,
            "--missed": self.missed,
            "--isic-csv": self.isic_csv,
            "--html": self.html,
        }
        return {name: whole_path(name, path) for name, path in paths.items() if path is not None}

    def check(self, predictions: Path, labels: Path) -> None:
        """Refuse files that cannot or must not be written.

        Raises:
            UsageError: a file is an input or inside it, two files are the same, or a folder does
                not exist.
        """
        reports, files = whole_path("PREDICTIONS", predictions), self.files()
        for option, file in files.items():
            if file in (reports, whole_path("--labels", labels)) or reports in file.parents:
                raise UsageError(f"{option}: {file} belongs to the input; choose another file.")
            if not file.parent.is_dir() or file.is_dir():
                raise UsageError(
                    f"{option}: found {file}; allowed: a file in a folder that exists."
                )
            if list(files.values()).count(file) > 1:
                raise UsageError(f"{option}: {file} is given for two options; choose two files.")

    def write(self, evaluation: Evaluation) -> None:
        """Write the files that were asked for.

        Raises:
            UsageError: a file cannot be written, or the classes have no ISIC codes.
        """
        files, texts = self.files(), {}
        if "--isic-csv" in files:
            texts["--isic-csv"] = evaluation.isic_csv(self.isic_format)
        if "--missed" in files:
            texts["--missed"] = evaluation.missed.to_csv(index=False, lineterminator="\n")
        if "--html" in files:
            texts["--html"] = evaluation.html()
        if "--json" in files:
            texts["--json"] = json_text(evaluation)
        for option, text in texts.items():
            write_text(option, files[option], text)


def json_text(evaluation: Evaluation) -> str:
    """The measures as JSON; a measure that is not defined is null."""
    return json.dumps(evaluation.measures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(option: str, file: Path, text: str) -> None:
    """Write a file completely or not at all.

    Raises:
        UsageError: names the option; it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    except OSError as error:
        raise UsageError(
            f"{option}: cannot write {file} ({error.strerror}). Check its folder and the "
            "permissions there."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
