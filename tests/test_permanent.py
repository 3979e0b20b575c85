"""Loading without the garbage collector."""

from __future__ import annotations

import gc
import sys
import types
import weakref

import pytest

from batch.runtime.process import freeze_imports


class Knot:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collecting():
    """The collector as the test found it."""
    gc.collect()
    gc.enable()
    yield
    gc.unfreeze()
    gc.collect()


@pytest.fixture
def load(monkeypatch):
    """Loads a module that was not there."""
    return lambda: monkeypatch.setitem(sys.modules, "a_module_of_this_test", types.ModuleType("m"))


def test_what_is_made_while_modules_are_loaded_is_passed_over(collecting, load):
    with freeze_imports():
        assert not gc.isenabled()
        load()
        knot = weakref.ref(Knot())
    assert gc.isenabled()
    gc.collect()
    assert knot() is not None


def test_without_a_new_module_garbage_is_garbage(collecting):
    with freeze_imports():
        knot = weakref.ref(Knot())
    gc.collect()
    assert knot() is None


def test_what_is_made_later_is_collected(collecting, load):
    with freeze_imports():
        load()
    knot = weakref.ref(Knot())
    gc.collect()
    assert knot() is None


def test_a_failure_leaves_the_collector_on(collecting):
    with pytest.raises(ValueError, match="x"), freeze_imports():
        raise ValueError("x")
    assert gc.isenabled()


def test_inside_another_the_collector_stays_off(collecting):
    with freeze_imports():
        with freeze_imports():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
