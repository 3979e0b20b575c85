"""Help of every command loads no heavy library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.archives import REPOSITORY

HEAVY = ("tensorflow", "keras", "apache_beam", "pyarrow", "pandas", "PIL", "pydicom", "numpy",
         "botocore", "obstore", "scipy", "sklearn")  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    ["import batch", "import batch.cli", "from batch.cli import parser; parser().format_help()"],
)
def test_importing_the_package_and_asking_for_help_load_no_library(statement):
    code = f"{statement}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_help_of_every_command_loads_no_library():
    code = (
        "import argparse, sys\nfrom batch.arguments import parser\nfrom batch.cli import main\n"
        "(sub,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))\n"
        "assert len(sub.choices) >= 9\n"
        "for words in ([], *([name] for name in sub.choices)):\n"
        "    try:\n        main([*words, '--help'])\n    except SystemExit as end:\n"
        "        assert end.code == 0\n"
        f"assert not [m for m in {HEAVY} if m in sys.modules]\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
