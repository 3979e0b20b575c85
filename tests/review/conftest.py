"""A machine in Berlin: one hour before UTC in winter, two in summer."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import pytest


@contextmanager
def machine_in(zone: str):
    """The machine's time zone for a while."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@pytest.fixture
def berlin():
    """The machine's time zone, for this test."""
    with machine_in("Europe/Berlin"):
        yield
