"""The whole archive as numbers: what is counted, and which lesions are looked at closely. Pure.

Of a million images a few thousand can be listed. Only these, and the other lesions of their
patients, become rows with names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batch.review.contract import Tier
from batch.review.frames import model_names
from batch.review.grouping import Bearers, Groups, group_images
from batch.review.tiers import TIERS, tier_codes

_BELOW = TIERS.index(Tier.BELOW)


@dataclass(frozen=True, eq=False)
class Whole:
    """images: `worklist.GROUPING_COLUMNS` of every image. codes: (lesions,) tier of each lesion, a
    place in `TIERS`, by lesion number of `groups`.
    """

    images: pd.DataFrame
    groups: Groups
    codes: np.ndarray

    @staticmethod
    def of(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> Whole:
        """An archive's images, grouped. pattern: of `--lesion-pattern`."""
        groups = group_images(images, pattern)
        tiers = tier_codes(images["melanoma_score"], images["threshold"]).to_numpy()
        codes = np.full(len(groups.lesion.words), _BELOW)
        np.minimum.at(codes, groups.lesion.codes, tiers)
        return Whole(images, groups, codes)

    def asking(self) -> set[str]:
        """Lesions in tier alert or near_threshold."""
        return set(self.groups.lesion.words[self.codes < _BELOW])

    def known(self, names: Collection[str]) -> set[str]:
        """Those of some names that are lesions with a score."""
        words = self.groups.lesion.words
        return set(words[words.isin(list(names))])

    def lesions_of(self, image_ids: Collection[str]) -> dict[str, set[str]]:
        """image_id to lesion_keys, of images with a score."""
        rows = np.flatnonzero(self.images["image_id"].isin(list(image_ids)))
        found: dict[str, set[str]] = defaultdict(set)
        for image_id, row in zip(self.images["image_id"].iloc[rows], rows.tolist(), strict=True):
            found[image_id].add(str(self.groups.lesion.at(row)))
        return found

    def closely(self, names: Collection[str]) -> pd.DataFrame:
        """Images of some lesions, and of all others of their patients: all but their details."""
        lesion, patient = self.groups.lesion, self.groups.patient
        of_lesions = lesion.words.isin(list(names)).to_numpy(bool)[lesion.codes]
        patients = np.unique(patient.codes[of_lesions & (patient.codes >= 0)])
        of_patients = np.zeros(len(lesion.words), bool)
        of_patients[lesion.codes[np.isin(patient.codes, patients)]] = True
        return self.rows(np.flatnonzero(of_lesions | of_patients[lesion.codes]))

    def in_files(self, paths: Collection[str]) -> pd.DataFrame:
        """Images that lie in some files."""
        return self.rows(np.flatnonzero(self.images["path"].isin(list(paths))))

    def bearers(self, uids: Collection[str]) -> dict[str, Bearers]:
        """Who bears some tracking UIDs, of those that an image with a score has."""
        places = np.flatnonzero(self.images["lesion_id"].isin(list(uids)))
        patients: dict[str, set[str]] = defaultdict(set)
        apart: set[str] = set()
        for uid, place in zip(self.images["lesion_id"].iloc[places], places.tolist(), strict=True):
            who = self.groups.patient.at(place)
            patients[uid] |= {who} if who is not None else set()
            apart |= {uid} if self.groups.shared[place] else set()
        return {uid: Bearers(frozenset(who), uid in apart) for uid, who in patients.items()}

    def rows(self, places: np.ndarray) -> pd.DataFrame:
        """Images by place: image_id, path, melanoma_score, threshold, model_version, and the
        columns of `Groups.frame`.
        """
        some = self.images.iloc[places]
        rows = some[["image_id", "path", "melanoma_score", "threshold"]].join(
            self.groups.frame(places, some.index)
        )
        return rows.assign(model_version=model_names(some))

    def counts(self, unscored: pd.DataFrame) -> dict[str, int]:
        """The archive in numbers, for `ReviewFacts.archive`.

        Args:
            unscored: with lesion_key and patient_key.
        """
        lesion, patient = self.groups.lesion, self.groups.patient
        image = pd.factorize(self.images["image_id"])[0]
        pairs = np.unique(lesion.codes * (image.max(initial=0) + 1) + image)
        return {
            "images": len(pairs),
            "unreadable": len(unscored),
            "lesions": _all_of(lesion.words, unscored["lesion_key"]),
            "patients": _all_of(patient.words, unscored["patient_key"]),
            "below": int((self.codes == _BELOW).sum()),
        }


def _all_of(words: pd.Series, others: pd.Series) -> int:
    """Different words of both."""
    more = pd.Series(others.dropna().unique(), dtype="str")
    return len(words) + int((~more.isin(words[words.isin(more)])).sum())
