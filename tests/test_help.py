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
    ["import batch", "import batch.cli", "from batch.cli import main; main(['--help'])"],
)
def test_importing_the_package_and_asking_for_help_load_no_library(statement):
    code = f"{statement}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "[]"


def test_help_of_every_command_loads_no_library():
    code = (
        "import sys\nfrom batch.cli import main\n"
        "from batch.commands.command_line import command_line\n"
        "assert len(command_line.commands) >= 9\n"
        "for words in ([], *([name] for name in command_line.commands)):\n"
        "    assert main([*words, '--help']) == 0\n"
        f"assert not [m for m in {HEAVY} if m in sys.modules]\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
