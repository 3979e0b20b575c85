"""The images of an archive, grouped to lesions and patients, with the tier of each lesion."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batch.review.worklist.contract import Tier
from batch.review.worklist.frames import model_names
from batch.review.worklist.grouping import Bearers, Groups, group_images
from batch.review.worklist.tiers import TIERS, tier_codes

_BELOW = TIERS.index(Tier.BELOW)


@dataclass(frozen=True, eq=False)
class ArchiveIndex:
    """All images with a score of an archive, grouped to lesions.

    images: `GROUPING_COLUMNS`, a row an image.
    groups: lesion and patient of each image.
    codes: (lesions,), the tier of each lesion as index of `TIERS`, by lesion number of `groups`.
    """

    images: pd.DataFrame
    groups: Groups
    codes: np.ndarray

    @staticmethod
    def of(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> ArchiveIndex:
        """Group the images of an archive. pattern: of `--lesion-pattern`."""
        groups = group_images(images, pattern)
        tiers = tier_codes(images).to_numpy()
        codes = np.full(len(groups.lesion.words), _BELOW)
        np.minimum.at(codes, groups.lesion.codes, tiers)
        return ArchiveIndex(images, groups, codes)

    def asking(self) -> set[str]:
        """Keys of the lesions in tier alert, near_threshold or unreliable."""
        return set(self.groups.lesion.words[self.codes < _BELOW])

    def with_score(self, names: Collection[str]) -> set[str]:
        """Those of the names that are keys of lesions with a score."""
        words = self.groups.lesion.words
        return set(words[words.isin(list(names))])

    def lesions_of(self, image_ids: Collection[str]) -> dict[str, set[str]]:
        """Map each of the image ids that has a score to its lesion_keys."""
        rows = np.flatnonzero(self.images["image_id"].isin(list(image_ids)))
        keys: dict[str, set[str]] = defaultdict(set)
        for image_id, row in zip(self.images["image_id"].iloc[rows], rows.tolist(), strict=True):
            keys[image_id].add(str(self.groups.lesion.at(row)))
        return keys

    def with_other_lesions(self, names: Collection[str]) -> pd.DataFrame:
        """Rows of the images of some lesions, and of all other lesions of their patients."""
        lesion, patient = self.groups.lesion, self.groups.patient
        of_lesions = lesion.words.isin(list(names)).to_numpy(bool)[lesion.codes]
        patients = np.unique(patient.codes[of_lesions & (patient.codes >= 0)])
        of_patients = np.zeros(len(lesion.words), bool)
        of_patients[lesion.codes[np.isin(patient.codes, patients)]] = True
        return self.rows(np.flatnonzero(of_lesions | of_patients[lesion.codes]))

    def in_files(self, paths: Collection[str]) -> pd.DataFrame:
        """Rows of the images in some files."""
        return self.rows(np.flatnonzero(self.images["path"].isin(list(paths))))

    def bearers(self, uids: Collection[str]) -> dict[str, Bearers]:
        """Map each of the tracking UIDs that an image with a score has to its patients."""
        rows = np.flatnonzero(self.images["lesion_id"].isin(list(uids)))
        patients: dict[str, set[str]] = defaultdict(set)
        apart: set[str] = set()
        for uid, row in zip(self.images["lesion_id"].iloc[rows], rows.tolist(), strict=True):
            patient = self.groups.patient.at(row)
            patients[uid] |= {patient} if patient is not None else set()
            apart |= {uid} if self.groups.shared[row] else set()
        return {uid: Bearers(frozenset(names), uid in apart) for uid, names in patients.items()}

    def rows(self, numbers: np.ndarray) -> pd.DataFrame:
        """Images by row number: image_id, path, melanoma_score, threshold, is_reliable,
        model_version, and the columns of `Groups.frame`.
        """
        images = self.images.iloc[numbers]
        rows = images[["image_id", "path", "melanoma_score", "threshold", "is_reliable"]].join(
            self.groups.frame(numbers, images.index)
        )
        return rows.assign(model_version=model_names(images))

    def counts(self, unscored: pd.DataFrame) -> dict[str, int]:
        """Count images, lesions and patients of the archive, for `ReviewFacts.archive`.

        Args:
            unscored: images without a score, with lesion_key and patient_key.
        """
        lesion, patient = self.groups.lesion, self.groups.patient
        image = pd.factorize(self.images["image_id"])[0]
        pairs = np.unique(lesion.codes * (image.max(initial=0) + 1) + image)
        return {
            "images": len(pairs),
            "unreadable": len(unscored),
            "lesions": _count_distinct(lesion.words, unscored["lesion_key"]),
            "patients": _count_distinct(patient.words, unscored["patient_key"]),
            "below": int((self.codes == _BELOW).sum()),
        }


def _count_distinct(words: pd.Series, others: pd.Series) -> int:
    """How many different words there are in both together."""
    more = pd.Series(others.dropna().unique(), dtype="str")
    return len(words) + int((~more.isin(words[words.isin(more)])).sum())
