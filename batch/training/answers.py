"""How the small commands of training answer: a text, or an error's sentence and exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from batch.core.errors import BatchError
from batch.runtime.terminal import print_answer, say


def answer(find: Callable[[], str]) -> int:
    """Print what was found, or why there is nothing; also a full disk is said.

    Returns:
        the exit code.
    """
    try:
        print_answer(find() + "\n")
    except BatchError as error:
        say(f"{error}\n", sys.stderr)
        return int(error.exit_code)
    return 0
