"""What a command has to say, to whoever still reads it."""

from __future__ import annotations

import os
from typing import TextIO


def say(text: str, stream: TextIO) -> None:
    """Print what was done; a closed or full terminal does not undo it."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        say(text.encode("ascii", "backslashreplace").decode(), stream)
    except OSError:  # nobody reads: let the interpreter's own flush at exit not fail either
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
