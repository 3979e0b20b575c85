"""`--lesion-pattern`: where in a path lesion and patient are named. Imports no library."""

from __future__ import annotations

import re

from batch.errors import UsageError

PATTERN_MOST = 1000


def lesion_pattern(text: str) -> re.Pattern[str]:
    """A pattern for `--lesion-pattern`, searched in the path below the archive.

    Raises:
        UsageError: no regular expression, or without the group `lesion`.
    """
    remedy = "Example: (?P<patient>[^/]+)/(?P<lesion>[^/_]+)_"
    if len(text) > PATTERN_MOST:
        raise UsageError(f"--lesion-pattern: {len(text)} characters; allowed: {PATTERN_MOST}.")
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--lesion-pattern: no regular expression ({error}). {remedy}") from error
    if "lesion" not in pattern.groupindex:
        raise UsageError(
            f"--lesion-pattern: {text!r} has no group named lesion; needed: (?P<lesion>...), "
            f"allowed beside it: (?P<patient>...). {remedy}"
        )
    return pattern
