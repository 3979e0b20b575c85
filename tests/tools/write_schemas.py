"""Writes schemas/*.json and schemas/README.md from the code: `python -m
tests.tools.write_schemas`."""

import json

from batch.reports.schema import SCHEMA_VERSION, TABLES, contract
from tests.support.archives import REPOSITORY

HEAD = f"""# Columns of the reports

Schema version {SCHEMA_VERSION}; it rises with every change of a column, and CHANGELOG.md says what
changed. `python -m tests.tools.write_schemas` writes this page from `batch/reports/schema.py`, and
a test keeps both equal. Types are Arrow's. `predictions`, `current`, `unscored`, `files` and
`silent_predictions` are folders of Parquet parts, `alerts` and `review_worklist` are one file each.
Compression is zstd.

`path` is the file's name. A name that is not UTF-8, or that holds `\\x` and two lower-case
hexadecimal digits itself, is escaped: a backslash is doubled, and a byte that is not UTF-8 is
written as `\\xNN`. So a name with the byte FF is written as `a\\xff`, and the name `a\\xff` as
`a\\\\xff`. No two names share a `path`, and `path_bytes` has the bytes of an escaped one.

`class_scores` is a map, readable by class name:

| reader | expression |
|---|---|
| pandas | `dict(frame.class_scores[0])["melanoma"]` |
| DuckDB | `SELECT class_scores['melanoma'] FROM 'predictions/*.parquet'` |
| Spark | `frame.select(frame.class_scores["melanoma"])` |
"""


def main() -> None:
    folder = REPOSITORY / "schemas"
    text = [HEAD]
    for table, columns in TABLES.items():
        (folder / f"{table}.json").write_text(json.dumps(contract(table), indent=2) + "\n")
        text += [f"\n## {table}\n", "| column | type | null | meaning |", "|---|---|---|---|"]
        for column in columns:
            null = "yes" if column.nullable else "never"
            text.append(f"| `{column.name}` | {column.type} | {null} | {column.description} |")
    (folder / "README.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
