"""Texts that are shown: nothing secret, nothing that a terminal obeys."""

from __future__ import annotations

import re

import pytest

from batch.core import text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--runner=Flink", "--x", "1"], ["--runner=Flink", "--x", "1"]),
        (["--s3_secret_access_key=S"], ["--s3_secret_access_key=********"]),
        (["--password", "S", "after"], ["--password", "********", "after"]),
        (["--password", "--x"], ["--password", "--x"]),
        (["--azure_connection_string=AccountKey=S"], ["--azure_connection_string=********"]),
        (["--url=https://u:S@h/x"], ["--url=https://********@h/x"]),
        (["s3://AK:S@buck/x"], ["s3://********@buck/x"]),
        ([], []),
    ],
)
def test_secrets_of_a_command_line_are_masked(words, shown):
    assert text.masked(words) == shown
    assert not any(re.search(r"\bS\b", word) for word in shown)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\x00", "a\\x0ab\\x00"),
        ("a\u202eb", "a\\u202eb"),
        ("Läsion 1", "Läsion 1"),
    ],
)
def test_no_terminal_obeys_what_is_escaped(given, shown):
    assert text.escaped(given) == shown
