"""Messages about unexpected errors. They name the type and the cause, and quote no value."""

from __future__ import annotations

import errno
import logging
import os

from batch.core.errors import BatchError, ExitCode
from batch.runtime.logs import causes
from batch.storage.object_clients import store_code

logger = logging.getLogger(__name__)


STORE_REFUSED = (
    "the object store refused or did not answer ({}); nothing was published. "
    "Check its address, the credentials and the permission to write, then start again."
)


def portable_error(error: BaseException) -> Exception:
    """An error that may travel to another process, without the message of the original.

    It is the first `BatchError` or error of a disk or store among the causes, else a RuntimeError
    that names the type.
    """
    for cause in causes(error):
        if isinstance(cause, BatchError):
            return cause
        if isinstance(cause, OSError) and (code := store_code(cause)):
            return BatchError(STORE_REFUSED.format(code))
        if isinstance(cause, OSError) and cause.errno is not None:
            return OSError(cause.errno, os.strerror(cause.errno))
    return RuntimeError(type(error).__name__)


_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


_NO_THREAD = "can't start new thread"
"""CPython's message; the error has no number."""


_NO_SPACE = "Free space, then start again."
_NO_PERMISSION = "Check who owns the folder and its permissions, then start again."
_STORAGE_ERRORS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: "It is mounted read-only; mount it so that it can be written, then start again.",
    errno.EIO: "Check the disk, then start again.",
    errno.ESTALE: "Check the network share and mount it again, then start again.",
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
}
"""What to do about an error of a disk or share."""


def reason_of(error: BaseException) -> tuple[ExitCode, str]:
    """Exit code and reason of a run that published nothing; the reason quotes no value."""
    if isinstance(error, BatchError):
        return error.exit_code, error.reason
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.FAILURE, "interrupted before anything could be published"
    return ExitCode.FAILURE, explain_failure(error).partition(";")[0]


def explain_failure(error: BaseException, of_a_run: bool = True) -> str:
    """One line for the person at the terminal, with the remedy.

    Args:
        of_a_run: whether the command publishes a night. A storage error of such a run is always one
            of the reports, since a failure in the archive is a row of the report.
    """
    nothing = "nothing was published" if of_a_run else "the command did not finish"
    for cause in causes(error):
        if isinstance(cause, OSError) and (code := store_code(cause)):
            return STORE_REFUSED.format(code)
        if isinstance(cause, OSError) and cause.errno in _STORAGE_ERRORS:
            what = "the reports" if of_a_run else "a file or folder"
            return (
                f"{what} cannot be written ({os.strerror(cause.errno)}); {nothing}. "
                f"{_STORAGE_ERRORS[cause.errno]}"
            )
        is_exhausted = isinstance(cause, OSError) and cause.errno in _EXHAUSTED
        if is_exhausted or (isinstance(cause, RuntimeError) and str(cause) == _NO_THREAD):
            what = os.strerror(cause.errno or 0) if isinstance(cause, OSError) else _NO_THREAD
            return (
                f"this machine is out of a resource ({what}); {nothing}. Look at its "
                "limits (ulimit -a) and at what else runs there, then start again."
            )
    where = (
        "The log file says where."
        if logging.getLogger("batch").handlers
        else "MELANOMA_BATCH_DEBUG=1 shows where."
    )
    return f"unexpected failure ({type(error).__name__}); {nothing}. {where}"
