"""One JSON object a line, whatever was logged, and nothing of an exception but its type."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.runtime.logs import JsonFormatter

PLANTED = "Jane^Doe /archive/jane.dcm"


def line(message: str, *arguments: object, created: float = 0.0, **more: object) -> str:
    record = logging.LogRecord("batch.x", logging.INFO, "x.py", 1, message, arguments, **more)
    record.created = created
    return JsonFormatter("r1").format(record)


def test_a_line_has_these_fields():
    assert json.loads(line("%d files found", 3, exc_info=None)) == {
        "time": "1970-01-01T00:00:00.000000Z",
        "level": "INFO",
        "logger": "batch.x",
        "message": "3 files found",
        "run_id": "r1",
    }


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (1.5, "1970-01-01T00:00:01.500000Z"),
        (1795226400.000001, "2026-11-21T02:00:00.000001Z"),
        (0.9999999, "1970-01-01T00:00:01.000000Z"),
    ],
)
def test_times_are_utc_with_microseconds(created, expected, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    found = json.loads(line("x", created=created, exc_info=None))["time"]
    assert found == expected
    assert datetime.fromisoformat(found).utcoffset().total_seconds() == 0


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_message_is_one_line_of_ascii_and_comes_back(message):
    text = line("%s", message, exc_info=None)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["message"] == message


def test_of_an_exception_only_the_type_is_told():
    try:
        try:
            raise KeyError(PLANTED)
        except KeyError as cause:
            raise ValueError(PLANTED) from cause
    except ValueError:
        text = line("it failed", exc_info=sys.exc_info(), sinfo=f"stack {PLANTED}")
    assert json.loads(text)["exception"] == "ValueError"
    assert json.loads(text)["message"] == "it failed"
    assert "Jane" not in text
    assert "Traceback" not in text


def test_through_a_logger_and_beside_another_formatter_it_stays_so(tmp_path):
    logger = logging.Logger("batch.test")
    for name, formatter in (("a", logging.Formatter()), ("b", JsonFormatter("r1"))):
        handler = logging.FileHandler(tmp_path / name)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    try:
        raise ValueError(PLANTED)
    except ValueError:
        logger.exception("first")  # the other formatter leaves its traceback in the record
    logger.warning("second\nline", exc_info=(None, None, None))
    for handler in logger.handlers:
        handler.close()
    assert "Jane" in (tmp_path / "a").read_text()
    first, second = map(json.loads, (tmp_path / "b").read_text().splitlines())
    assert (first["level"], first["exception"]) == ("ERROR", "ValueError")
    assert (second["level"], second["message"]) == ("WARNING", "second\nline")
    assert "exception" not in second
    assert "Jane" not in (tmp_path / "b").read_text()
