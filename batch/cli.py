"""argv to a command, and failures to exit codes. The only place that reads argv."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence

import click

from batch.commands.command_line import run
from batch.commands.shared import PROGRAM
from batch.core.errors import BatchError, ExitCode
from batch.core.text import escaped, without_password
from batch.runtime.terminal import flush_streams, open_streams, say

_TAKE_BEAM_OPTIONS = ("score", "inventory", "config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    open_streams()
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        flush_streams()


def _main(given: list[str]) -> int:
    words, beam = _split_at_dashes(given)
    if beam and not any(word in _TAKE_BEAM_OPTIONS for word in words[:1]):
        _complain("Beam options after `--` belong to `score`.")
        return ExitCode.USAGE
    _quiet_libraries()
    try:
        return run(words, beam)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message() + "\n", sys.stderr)
        return ExitCode.USAGE
    except click.ClickException as error:
        _complain(_usage(error) + error.format_message())
        return ExitCode.USAGE
    except BatchError as error:
        _complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain(
            "interrupted; nothing was published. The next run goes on from the last complete "
            "segment."
            if words[:1] == ["score"]
            else "interrupted; the command did not finish."
        )
        return ExitCode.FAILURE
    except Exception as error:  # no traceback for a user; the log has the places
        from batch.storage.failures import explain_failure

        _complain(explain_failure(error, of_a_run=words[:1] in (["score"], ["demo"])))
        if os.environ.get("MELANOMA_BATCH_DEBUG"):
            raise
        return ExitCode.FAILURE


def _usage(error: click.ClickException) -> str:
    """The command that was meant; what it takes, `--help` tells."""
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None:
        return ""
    say(f"{context.get_usage()}\n", sys.stderr)
    return f"{context.info_name}: "


def _complain(text: str) -> None:
    """Say what is wrong, without control characters and passwords of URLs: it becomes a mail."""
    shown = "\n".join(escaped(line) for line in without_password(text).split("\n"))
    say(f"{PROGRAM}: {shown}\n", sys.stderr)


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _quiet_libraries() -> None:
    """What libraries say may quote what they read, and would stand in every cron mail."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
