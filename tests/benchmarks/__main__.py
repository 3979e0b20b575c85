"""`python -m tests.benchmarks [SUITE …]`: tables on the terminal, and JSON with `--json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from batch.commands.shared import DEFAULT_MODEL
from tests.benchmarks.processes import machine
from tests.benchmarks.suites import SUITES
from tests.benchmarks.wishes import Wish


def _markdown(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values())
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--model", action="append", help="may be repeated; the first is the main")
    parser.add_argument("--images", type=int, default=3000, help="in an archive (default: 3000)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--cores", type=int, help="use so many only (default: all)")
    parser.add_argument("--json", type=Path, help="write everything there, too")
    options = parser.parse_args()
    if unknown := sorted(set(options.suites) - set(SUITES)):
        parser.error(f"no suite {unknown}; allowed: {', '.join(SUITES)}")
    models = tuple(options.model or ("isic9-plain", DEFAULT_MODEL))
    wish = Wish(models, options.images, options.repetitions, options.cores)
    found: dict[str, Any] = {"machine": machine(), "wish": vars(options) | {"json": None}}
    print(json.dumps(found["machine"], indent=1), flush=True)
    for name in options.suites or SUITES:
        print(f"\n## {name}\n", flush=True)
        found[name] = SUITES[name](wish)
        print(_markdown(found[name]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1, default=str) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
