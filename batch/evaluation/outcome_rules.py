"""Which outcome of a lesion counts, when several rows speak of it. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd

NO_DAY = -1
"""Day of a row without a date; every dated row is newer."""

JUDGED, REVISED, REPEATED = "judged", "revised", "repeated"
CONTRADICTING = "contradicting"


def settle(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Let one row speak for each lesion.

    The newest day decides. Where rows of that day disagree, melanoma decides, and the others are
    `contradicting`. An older row with another verdict is `revised`, any other row `repeated`. The
    night that counts comes before the first dated outcome, since the decision that the score could
    help was made then; a later revision changes the truth and not what was shown.

    Args:
        rows: lesion, is_melanoma, day (int, days since year 1, or NO_DAY) and at (int64
            microseconds since 1970, or UNDATED), in the order in which files and rows were read.

    Returns:
        by lesion: is_melanoma, before (int64, as `at`) and row (label of the row that decided); and
        the state of each row.
    """
    of_lesion = rows.groupby("lesion", sort=True)
    newest = rows["day"] == of_lesion["day"].transform("max")
    verdict = (rows["is_melanoma"] & newest).groupby(rows["lesion"]).transform("any")
    agrees = rows["is_melanoma"] == verdict
    deciding = ~(newest & agrees).groupby(rows["lesion"]).cumsum().gt(1) & newest & agrees
    state = np.select(
        [deciding, agrees, newest], [JUDGED, REPEATED, CONTRADICTING], default=REVISED
    )
    chosen = rows[deciding].set_index("lesion").sort_index()
    lesions = pd.DataFrame(
        {
            "is_melanoma": chosen["is_melanoma"].astype(bool),
            "before": of_lesion["at"].min().astype(np.int64),
            "row": pd.Series(rows.index[deciding], rows["lesion"][deciding]).sort_index(),
        }
    )
    return lesions, pd.Series(state, rows.index, dtype=object)
