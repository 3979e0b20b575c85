"""Reads a hospital's table about its images: CSV, Excel or Parquet. Pure but for `read_manifest`.

Nothing of a row is in a message: a complaint names file, row and column.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batch.archive.manifest_values import (
    COLUMN_NAMES,
    NAME,
    PATH,
    Facts,
    cell_text,
    head_of,
    value_of,
)
from batch.core.errors import BatchError, UsageError
from batch.core.location import ObjectUrl, Place
from batch.storage.object_store import ObjectStore

OPTION = "--manifest"
MOST_BYTES = 1 << 30
"""Of a file, and of an Excel file's content: HAM10000's own table has half a megabyte."""

UNREAD = "none"
"""In `--map`: the column is not read."""

_KEYS = (PATH, NAME)
_EXCEL, _PARQUET = (".xlsx", ".xlsm"), (".parquet", ".pq")
Cells = Iterable[tuple[int, Sequence[str]]]
"""Number and texts of each row; a CSV's rows are counted by its lines."""


class ManifestRow(NamedTuple):
    """A row of a table.

    file: index of its table in `Manifest.sources`. number: as a spreadsheet counts rows. key: path
    or name of the file, or a pattern. by_path: whether the key stands in a column of paths.
    """

    file: int
    number: int
    key: str
    by_path: bool
    facts: Facts


class Source(NamedTuple):
    """A table that was read. name: as given. sha256: hex digest. columns: head to our word."""

    name: str
    sha256: str
    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """All tables of a run.

    without_key: (file, number) of rows that name no file. not_understood: our word for a column to
    the rows whose cell in it cannot be read; the other cells of these rows count.
    """

    sources: tuple[Source, ...] = ()
    rows: tuple[ManifestRow, ...] = ()
    without_key: tuple[tuple[int, int], ...] = ()
    not_understood: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def label(self, file: int, number: int) -> str:
        """A row's name in a complaint; it tells nothing of the row's content."""
        return f"{self.sources[file].name.rsplit('/', 1)[-1]} row {number}"


def read_manifests(files: Sequence[Place], pairs: Sequence[str]) -> Manifest:
    """Read the tables of a run.

    Args:
        files: in the order given.
        pairs: words `theirs=ours` of `--map`.

    Raises:
        UsageError: a table cannot be read, or its key is not clear.
    """
    mapping = parse_map(pairs)
    sources: list[Source] = []
    rows: list[ManifestRow] = []
    without_key: list[tuple[int, int]] = []
    not_understood: dict[str, list[tuple[int, int]]] = {}
    unused = set(mapping)
    for index, file in enumerate(files):
        data = _bytes_of(file)
        heads, cells = table_of(str(file), data)
        unused -= {head_of(head) for head in heads}
        columns = columns_of(str(file), heads, mapping)
        count = 0
        for number, texts in cells:
            count += 1
            row = _row(index, number, texts, columns, not_understood)
            if row is None:
                without_key.append((index, number))
            else:
                rows.append(row)
        used = {heads[at]: word for word, at in columns.items()}
        sources.append(Source(str(file), hashlib.sha256(data).hexdigest(), count, used))
    if unused:
        raise UsageError(
            f"--map: no table of {OPTION} has a column {sorted(unused)[0]!r}; allowed: a column's "
            "head. Correct the name."
        )
    complaints = {word: tuple(places) for word, places in sorted(not_understood.items())}
    return Manifest(tuple(sources), tuple(rows), tuple(without_key), complaints)


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """The words of `--map` as a head to our word for it.

    Raises:
        UsageError: a word has another form, or maps to nothing that a table can say.
    """
    mapping: dict[str, str] = {}
    allowed = (*COLUMN_NAMES, UNREAD)
    known = {name: word for word, names in COLUMN_NAMES.items() for name in names}
    for pair in pairs:
        theirs, equals, ours = pair.rpartition("=")
        word = ours.strip().casefold()
        word = word if word in allowed else known.get(head_of(word), word)
        if not equals or not theirs.strip() or word not in allowed:
            raise UsageError(
                f"--map: found {pair!r}; allowed: THEIRS=OURS, where OURS is one of "
                f"{', '.join(allowed)}."
            )
        if mapping.setdefault(head_of(theirs), word) != word:
            raise UsageError(f"--map: {theirs!r} is mapped twice; allowed: once.")
    return mapping


def columns_of(name: str, heads: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Our words for the columns of a table, and where each stands.

    Raises:
        UsageError: no column says which file a row is about, several do, or a head that counts
            stands there twice.
    """
    found = [head_of(head) for head in heads]
    columns: dict[str, int] = {}

    def take(word: str, head: str) -> None:
        if found.count(head) > 1:
            raise UsageError(
                f"{OPTION}: {name} has {found.count(head)} columns {head!r}; allowed: one. Rename "
                "the others."
            )
        columns[word] = found.index(head)

    for head, word in mapping.items():
        if head in found and word != UNREAD:
            if word in columns:
                raise UsageError(
                    f"--map: two columns of {name} are mapped to {word}; allowed: one."
                )
            take(word, head)
    is_key_mapped = any(key in columns for key in _KEYS)
    for word, names in COLUMN_NAMES.items():
        candidates = [head for head in names if head in found and head not in mapping]
        if word in columns or not candidates or (is_key_mapped and word in _KEYS):
            continue
        if word in _KEYS and len(candidates) > 1:
            raise _several_keys(name, candidates)
        take(word, candidates[0])
    keys = [key for key in _KEYS if key in columns]
    if len(keys) > 1:
        raise _several_keys(name, [heads[columns[key]] for key in keys])
    if not keys:
        raise UsageError(
            f"{OPTION}: {name} has the columns {', '.join(heads) or '(none)'}; needed: one with "
            "the file of each row, such as path, image, isic_id or image_id. Name it with --map "
            "THEIRS=path or --map THEIRS=image."
        )
    return columns


def _several_keys(name: str, heads: Sequence[str]) -> UsageError:
    return UsageError(
        f"{OPTION}: in {name} the columns {' and '.join(heads)} could both name the file; allowed: "
        f"one. Leave one out with --map {heads[-1]}={UNREAD}."
    )


def _row(
    file: int,
    number: int,
    texts: Sequence[str],
    columns: Mapping[str, int],
    not_understood: dict[str, list[tuple[int, int]]],
) -> ManifestRow | None:
    values: dict[str, Any] = {}
    key, by_path = "", False
    for word, at in columns.items():
        if word in _KEYS:
            key, by_path = texts[at].strip(), word == PATH
            continue
        try:
            values[word] = value_of(word, texts[at])
        except ValueError:
            not_understood.setdefault(word, []).append((file, number))
    return ManifestRow(file, number, key, by_path, Facts(**values)) if key else None


def table_of(name: str, data: bytes) -> tuple[list[str], Cells]:
    """Heads and rows of a table; a row is as long as the heads, and blank rows are left out.

    Args:
        name: of the file; its ending says what it is, all but Excel and Parquet is read as CSV.

    Raises:
        UsageError: it cannot be read as such.
    """
    kind, reader = "CSV", _csv
    if name.casefold().endswith(_EXCEL):
        kind, reader = "Excel file", _excel
    elif name.casefold().endswith(_PARQUET):
        kind, reader = "Parquet file", _parquet
    elif name.casefold().endswith(".xls"):
        raise UsageError(f"{OPTION}: {name} is of Excel before 2007. Save it as .xlsx or CSV.")
    try:
        rows = reader(name, data)
        _, heads = next(rows, (0, []))
        heads = [str(head) for head in heads]
        while heads and not heads[-1].strip():
            heads.pop()
        return heads, list(_same_length(name, heads, rows))
    except UsageError:
        raise
    except Exception as error:  # libraries that read a damaged file raise errors of any type
        raise UsageError(
            f"{OPTION}: {name} cannot be read as {kind} ({type(error).__name__}). Save it again."
        ) from error


def _same_length(name: str, heads: Sequence[str], rows: Cells) -> Iterator[tuple[int, list[str]]]:
    for number, row in rows:
        if any(cell.strip() for cell in row[len(heads) :]):
            raise UsageError(
                f"{OPTION}: row {number} of {name} has {len(row)} values; allowed: {len(heads)}, "
                "as many as there are columns. Put a value that holds the separator in quotes."
            )
        if any(cell.strip() for cell in row):
            yield number, [*row, *[""] * len(heads)][: len(heads)]


def _csv(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    text, delimiter, skipped = _text(name, data), None, 0
    first, _, rest = text.partition("\n")
    if first.strip().casefold().startswith("sep=") and len(first.strip()) == len("sep=;"):
        text, delimiter, skipped = rest, first.strip()[-1], 1
    head = text.partition("\n")[0]
    delimiter = delimiter or max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for row in lines:
        yield lines.line_num + skipped, row


def _text(name: str, data: bytes) -> str:
    """UTF-16 with a byte order mark, else UTF-8, else Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if data.startswith(codecs.BOM_UTF8):
            raise
        text = data.decode("cp1252")
    if "\0" in text:
        raise UsageError(f"{OPTION}: {name} is no text. Give a CSV, .xlsx or .parquet.")
    return text


def _excel(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows of the first sheet, with the values that Excel computed last."""
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(data)) as content:
        if sum(entry.file_size for entry in content.infolist()) > MOST_BYTES:
            raise _too_large(name)
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # a wrong dimension of another program's file would hide cells
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        yield number, [cell_text(value) for value in row]


def _parquet(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    yield 1, file.schema_arrow.names
    number = 1
    for batch in file.iter_batches():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, [cell_text(value) for value in row]


def _bytes_of(place: Place) -> bytes:
    try:
        if isinstance(place, ObjectUrl):
            folder, _, name = place.prefix.rpartition("/")
            return ObjectStore(ObjectUrl(place.bucket, folder)).get(name, MOST_BYTES).data
        if place.stat().st_size > MOST_BYTES:
            raise _too_large(str(place))
        return place.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{OPTION}: cannot read {place} ({error.strerror or type(error).__name__}). Correct "
            "the path or its permissions; `--manifest none` forgets the tables of the last run."
        ) from error
    except BatchError:
        raise
    except Exception as error:  # `TooLarge`
        raise _too_large(str(place)) from error


def _too_large(name: str) -> UsageError:
    return UsageError(f"{OPTION}: {name} is too large; allowed: {MOST_BYTES} bytes. Split it.")
