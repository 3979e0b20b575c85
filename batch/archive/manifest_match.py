"""Matches the rows of a hospital's tables with the files of the archive, and accounts for both.

A row names a file by its path, by its name, or several files by a pattern. Rows on the same file
complete each other; where two of them disagree, neither counts.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batch.archive.manifest_file import OPTION, Manifest, ManifestRow
from batch.archive.manifest_values import NAME, Facts, Value
from batch.core.errors import UsageError

MOST_PATTERNS = 1000
"""Each is compared with every file."""

_WILDCARDS = re.compile(r"[*?\[]")
_SEVERAL = -1


class Fate(StrEnum):
    """What became of a row. Every row has exactly one fate.

    USED: it says something of an image. DUPLICATE: an earlier row says the same of the same image.
    CONTRADICTING: another row says something else of the same image. WITHOUT_FILE: no file has that
    name. NO_IMAGE: the file is none. AMBIGUOUS: several files have that name. WITHOUT_KEY: the row
    names no file.
    """

    USED = "used"
    DUPLICATE = "duplicate"
    CONTRADICTING = "contradicting"
    WITHOUT_FILE = "without_file"
    NO_IMAGE = "no_image"
    AMBIGUOUS = "ambiguous"
    WITHOUT_KEY = "without_key"


@dataclass(frozen=True)
class Matched:
    """Rows and files side by side.

    facts: file to what all its rows say together, for each image with a row.
    fates: fate to the (file, number) of its rows, in their order.
    images: number of images.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    fates: dict[Fate, list[tuple[int, int]]] = field(default_factory=dict)
    images: int = 0


class _Names:
    """The files of an archive by path and by name, with and without the ending."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = [unicodedata.normalize("NFC", file) for file in files]
        self.paths: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.bare_paths: dict[str, int] = {}
        self.bare_names: dict[str, int] = {}
        for number, file in enumerate(self.files):
            name = file.rsplit("/", 1)[-1]
            folder = file[: len(file) - len(name)]
            bare = name.rsplit(".", 1)[0] or name
            for index, word in (
                (self.paths, file), (self.names, name), (self.bare_paths, folder + bare),
                (self.bare_names, bare),
            ):  # fmt: skip
                index[word] = _SEVERAL if word in index else number

    def find(self, key: str, by_path: bool) -> int | None:
        """The file of a key; `_SEVERAL`, or None if there is none."""
        by_name = (self.names, self.bare_names)
        if "/" in key:
            stages: tuple[dict[str, int], ...] = (self.paths, self.bare_paths)
        else:
            stages = (self.paths, self.bare_paths, *by_name) if by_path else by_name
        return next((stage[key] for stage in stages if key in stage), None)


def check_keys(manifest: Manifest, files: Sequence[str], root: str) -> None:
    """Refuse tables whose names mostly stand for several files.

    Raises:
        UsageError: so does more than half of the names that the archive has, or there are too many
            patterns.
    """
    names = _Names(files)
    found = [names.find(_plain(row.key, root), row.by_path) for row in manifest.rows]
    several = found.count(_SEVERAL)
    known = len(found) - found.count(None)
    if 2 * several > known:
        raise UsageError(
            f"{OPTION}: of {known} rows with a name that the archive has, {several} name several "
            f"files; allowed: half of them. Give the path below the archive in a column path, "
            f"instead of {NAME}."
        )
    patterns = {
        row.key
        for row, file in zip(manifest.rows, found, strict=True)
        if file is None and _WILDCARDS.search(row.key)
    }
    if len(patterns) > MOST_PATTERNS:
        raise UsageError(
            f"{OPTION}: {len(patterns)} patterns; allowed: {MOST_PATTERNS}. Name files by path."
        )


def match_rows(
    manifest: Manifest, images: Sequence[str], others: Collection[str], root: str
) -> Matched:
    """Match rows with files.

    Args:
        manifest: what the tables say.
        images: paths of files that are images, read or not.
        others: paths of files that are none.
        root: the archive's own path, which a key may begin with.
    """
    names, no_images = _Names(images), _Names(list(others))
    fates: dict[Fate, list[tuple[int, int]]] = {fate: [] for fate in Fate}
    fates[Fate.WITHOUT_KEY] += manifest.without_key
    exact: dict[int, list[ManifestRow]] = {}
    patterns: list[ManifestRow] = []
    for row in manifest.rows:
        key = _plain(row.key, root)
        number = names.find(key, row.by_path)
        if number == _SEVERAL:
            fates[Fate.AMBIGUOUS].append((row.file, row.number))
        elif number is not None:
            exact.setdefault(number, []).append(row)
        elif no_images.find(key, row.by_path) is not None:
            fates[Fate.NO_IMAGE].append((row.file, row.number))
        elif _WILDCARDS.search(key):
            patterns.append(row)
        else:
            fates[Fate.WITHOUT_FILE].append((row.file, row.number))
    in_general = _by_patterns(patterns, names.files, no_images.files, root, fates)
    facts: dict[str, Facts] = {}
    contradicting: set[tuple[int, int]] = set()
    for number in sorted(exact.keys() | in_general.keys()):
        own, general = exact.get(number, []), in_general.get(number, [])
        if len(own) == 1 and not general:  # as almost always, of perhaps a million files
            facts[images[number]] = own[0].facts
            continue
        said, open_words = _merge(own, contradicting)
        more, _ = _merge(general, contradicting)
        facts[images[number]] = said._replace(
            **{word: value for word, value in more._asdict().items() if word in open_words}
        )
    _settle(exact.values(), [_patterns_used(in_general, patterns)], contradicting, fates)
    for places in fates.values():
        places.sort()
    return Matched(facts, fates, len(images))


def _patterns_used(
    in_general: dict[int, list[ManifestRow]], patterns: Sequence[ManifestRow]
) -> list[ManifestRow]:
    """The patterns that match an image, in their order."""
    used = {(row.file, row.number) for rows in in_general.values() for row in rows}
    return [row for row in patterns if (row.file, row.number) in used]


def _by_patterns(
    patterns: Sequence[ManifestRow],
    images: Sequence[str],
    others: Sequence[str],
    root: str,
    fates: dict[Fate, list[tuple[int, int]]],
) -> dict[int, list[ManifestRow]]:
    """Number of an image to the patterns that match it."""
    found: dict[int, list[ManifestRow]] = {}
    for row in patterns:
        matches = _matcher(_plain(row.key, root))
        hits = [number for number, file in enumerate(images) if matches(file)]
        for number in hits:
            found.setdefault(number, []).append(row)
        if not hits:
            is_other = any(matches(file) for file in others)
            fate = Fate.NO_IMAGE if is_other else Fate.WITHOUT_FILE
            fates[fate].append((row.file, row.number))
    return found


def _matcher(pattern: str) -> Callable[[str], object]:
    """A function that says whether a path matches.

    A pattern without `/` is compared with the name only; in others `*` matches across folders.
    """
    matches = re.compile(fnmatch.translate(pattern)).match
    if "/" in pattern:
        return matches
    return lambda file: matches(file.rsplit("/", 1)[-1])


def _merge(
    rows: Sequence[ManifestRow], contradicting: set[tuple[int, int]]
) -> tuple[Facts, set[str]]:
    """What rows on one file say together, and the words of which they say nothing.

    A word on which they disagree has no value, and these rows are added to `contradicting`.
    """
    merged: dict[str, Value] = {}
    silent: set[str] = set()
    for at, word in enumerate(Facts._fields):
        said = {row.facts[at] for row in rows} - {None}
        if len(said) == 1:
            merged[word] = said.pop()  # type: ignore[assignment]
        elif said:
            contradicting.update(
                (row.file, row.number) for row in rows if row.facts[at] is not None
            )
        else:
            silent.add(word)
    return Facts(**merged), silent  # type: ignore[arg-type]


def _settle(
    exact: Iterable[Sequence[ManifestRow]],
    general: Iterable[Sequence[ManifestRow]],
    contradicting: Collection[tuple[int, int]],
    fates: dict[Fate, list[tuple[int, int]]],
) -> None:
    """Give the rows that match an image their fates."""
    for groups, by_key in ((exact, False), (general, True)):
        for rows in groups:
            earlier: set[object] = set()
            for row in rows:
                place = (row.file, row.number)
                content = (row.key, row.facts) if by_key else row.facts
                if place in contradicting:
                    fates[Fate.CONTRADICTING].append(place)
                elif content in earlier:
                    fates[Fate.DUPLICATE].append(place)
                else:
                    fates[Fate.USED].append(place)
                earlier.add(content)


def _plain(key: str, root: str) -> str:
    """A key as a path below the archive, as the listing writes it."""
    plain = unicodedata.normalize("NFC", key).replace("\\", "/")
    if plain.startswith(root.rstrip("/") + "/"):
        plain = plain[len(root.rstrip("/")) + 1 :]
    return plain.removeprefix("./").lstrip("/")
