"""What a command has to say, to whoever still reads it."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

from batch.core.errors import BatchError

_NOBODY = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A reader that has left (`| head`), a terminal that is gone, a stream that is closed."""


def open_streams() -> None:
    """Give the standard streams that were closed (`>&-`) to nobody.

    Otherwise the next file that is opened, a table or the lock, has the number of standard output,
    and whatever a library prints lands in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def settle_streams() -> None:
    """Bring out what is still to be printed, argparse's help for one. The interpreter's own attempt
    at its end would change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        say("", stream)


def say(text: str, stream: TextIO) -> int:
    """Print what was done; a closed or full terminal does not undo it.

    Returns:
        0, or the number of the system's error.
    """
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        return say(text.encode("ascii", "backslashreplace").decode(), stream)
    except ValueError:  # the stream object itself is closed
        return errno.EBADF
    except OSError as error:  # let the interpreter's own flush at exit not fail either
        _to_nobody(stream)
        return error.errno or errno.EIO
    return 0


def tell(text: str) -> None:
    """Print what a command was asked for. It counts as told when nobody wants to read it.

    Raises:
        BatchError: somebody does, and it cannot be written: a file on a full disk would end in the
            middle.
    """
    failed = say(text, sys.stdout)
    if failed and failed not in _NOBODY:
        raise BatchError(
            f"standard output cannot be written ({os.strerror(failed)}); what it holds is not "
            "whole. Free space, then ask again."
        )


def _to_nobody(stream: TextIO) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
