"""Descriptions of sources: what a folder of images is, as a table of TOML says.

The bundled `sources.toml` describes the public sets; a folder of your own joins by a file
`source.toml` in it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batch.core.errors import UsageError

BUNDLED = Path(__file__).with_name("sources.toml")
OWN_FILE = "source.toml"
LAYOUTS = ("flat", "isic9")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "table": str, "columns": dict, "layout": str, "classes": dict, "leave_out": dict,
    "share": (int, float), "judges": bool, "licence": str, "non_commercial": bool,
}  # fmt: skip
_TYPE_NAMES = {str: "text", bool: "true or false", dict: "a table", int: "a number"}
_COLUMNS = ("image", "diagnosis", "lesion")


@dataclass(frozen=True)
class Source:
    """One source.

    columns: `image`, `diagnosis`, `lesion` to what the table calls them. classes: a diagnosis to
    its label, a class or a coarse name. coarse: a coarse name to the classes that it allows.
    leave_out: column to patterns of values. share: of an epoch's draws, before shares are made to
    add up to 1. judges: whether its images may validate and test.
    """

    name: str
    licence: str
    non_commercial: bool
    share: float
    table: str = "metadata.csv"
    layout: str = "flat"
    judges: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    leave_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coarse: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def described(data: Path) -> dict[str, Source]:
    """Every source that is described, and there: name to description, by name.

    Raises:
        UsageError: a description breaks the rules.
    """
    text = _parsed(BUNDLED)
    coarse = text["coarse"]
    found = {
        name: _source(name, table, coarse, BUNDLED)
        for name, table in text["source"].items()
        if (data / name).is_dir()
    }
    for file in sorted(data.glob(f"*/{OWN_FILE}")):
        table = _parsed(file)
        own = table.pop("coarse", {})
        found[file.parent.name] = _source(file.parent.name, table, {**coarse, **own}, file)
    return dict(sorted(found.items()))


def bundled_licences() -> dict[str, tuple[str, bool]]:
    """Of the bundled sources, wherever their images are: name to (licence, non-commercial)."""
    return {
        name: (table["licence"], table["non_commercial"])
        for name, table in _parsed(BUNDLED)["source"].items()
    }


def allowed_classes(source: Source, label: str) -> tuple[str, ...]:
    """The classes that a label leaves open: its own, or those of a coarse name."""
    return source.coarse.get(label, (label,))


def check_classes(source: Source, class_names: tuple[str, ...]) -> None:
    """Every label ends in classes that the recipe has.

    Raises:
        UsageError: one does not.
    """
    for diagnosis, label in source.classes.items():
        if unknown := sorted(set(allowed_classes(source, label)) - set(class_names)):
            coarse = sorted(source.coarse)
            raise UsageError(
                f"{source.name}: diagnosis {diagnosis!r} is described as {label!r}, and "
                f"{', '.join(unknown)} is no class of the recipe; allowed: "
                f"{', '.join([*class_names, *coarse])}. See batch/training/README.md."
            )


def _source(name: str, table: dict[str, Any], coarse: dict[str, Any], file: Path) -> Source:
    def refuse(what: str) -> UsageError:
        return UsageError(f"{file.name} of {name}: {what}; see batch/training/README.md.")

    if unknown := sorted(set(table) - set(_KEYS)):
        raise refuse(f"found {', '.join(unknown)}; allowed: {', '.join(_KEYS)}")
    for key, kind in _KEYS.items():
        if key in table and not isinstance(table[key], kind):
            raise refuse(f"{key} = {table[key]!r} has the wrong type; allowed: {_type_name(kind)}")
    if missing := [key for key in ("licence", "non_commercial", "share") if key not in table]:
        raise refuse(f"{', '.join(missing)} is missing; needed: licence, non_commercial, share")
    if not table["share"] > 0:
        raise refuse(f"share = {table['share']!r}; allowed: above 0")
    if table.get("layout", "flat") not in LAYOUTS:
        raise refuse(f"layout = {table['layout']!r}; allowed: {', '.join(LAYOUTS)}")
    if table.get("layout") != "isic9" and not table.get("classes"):
        raise refuse("classes is missing; needed: each diagnosis and its class")
    columns = table.get("columns", {})
    if wrong := sorted(set(columns) - set(_COLUMNS)):
        raise refuse(f"columns has {', '.join(wrong)}; allowed: {', '.join(_COLUMNS)}")
    fields = {
        **table,
        "columns": {**{one: one for one in _COLUMNS}, **columns},
        "leave_out": {key: tuple(one) for key, one in table.get("leave_out", {}).items()},
        "coarse": {key: tuple(one) for key, one in coarse.items()},
    }
    return Source(name=name, **fields)


def _type_name(kind: type | tuple[type, ...]) -> str:
    return _TYPE_NAMES[kind if isinstance(kind, type) else kind[0]]


def _parsed(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"{file.parent.name}/{file.name} is no readable TOML ({type(error).__name__}: "
            f"{error}); see batch/training/README.md."
        ) from error
