"""What `train` needs beyond the installation, and how to get it from where that came from."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution, requires
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

from batch.core.errors import UsageError

IMPORTED_AS = {"scikit-learn": "sklearn", "ImageHash": "imagehash", "matplotlib": "matplotlib"}
"""Distribution to module, of the extra [train]."""

PROGRAM = "melanoma-batch"
_CHECKOUT = Path(__file__).parent.parent.parent


def need_train_extra() -> None:
    """Refuse before hours of work what would fail after them.

    Raises:
        UsageError: names what is missing, and a command that brings it.
    """
    missing = [name for name, module in IMPORTED_AS.items() if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"train: not installed: {', '.join(missing)}; needed: the extra [train], which score, "
            f"evaluate and calibrate do without. Install it: {install_command(_origin())}"
        )


def install_command(origin: str | None) -> str:
    """The pip command for the extra.

    Args:
        origin: folder, file or address that the program was installed from; None where it is gone
            or unknown, when the libraries are named themselves.
    """
    if origin is None:
        return "pip install " + " ".join(f"'{one}'" for one in _requirements())
    named = "://" in origin
    return (
        f"pip install '{PROGRAM}[train] @ {origin}'" if named else f"pip install '{origin}[train]'"
    )


def origin_of(direct_url: str | None) -> str | None:
    """Where pip says that it installed from (PEP 610), if that is still there.

    Args:
        direct_url: the text of direct_url.json.
    """
    try:
        told = json.loads(direct_url or "{}")
        url = str(told.get("url", ""))
    except (ValueError, AttributeError):
        return None
    if version_control := told.get("vcs_info"):
        revision = version_control.get("commit_id", "")
        return f"{version_control.get('vcs', 'git')}+{url}" + (f"@{revision}" if revision else "")
    place = urlparse(url)
    if place.scheme in ("http", "https"):
        return url
    path = Path(unquote(place.path))
    return str(path) if place.scheme == "file" and path.exists() else None


def _origin() -> str | None:
    if (_CHECKOUT / "setup.py").is_file():  # it runs from a checkout, installed or not
        return str(_CHECKOUT)
    try:
        return origin_of(distribution(PROGRAM).read_text("direct_url.json"))
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    """The libraries with the versions that the installation's metadata asks for, if it is there."""
    try:
        asked = [line for line in requires(PROGRAM) or () if re.search(r"extra == .train.", line)]
    except PackageNotFoundError:
        asked = []
    return [line.partition(";")[0].strip() for line in asked] or list(IMPORTED_AS)
