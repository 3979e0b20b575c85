"""The lock of reports in object storage: one of two gets it, and no dead owner keeps it."""

from __future__ import annotations

import pytest

from batch.core.errors import ReportsLocked, ReportsLost
from batch.storage import object_lock
from batch.storage.object_lock import ObjectLock, hold_objects
from batch.storage.object_store import ObjectStore


def test_a_second_start_is_refused_and_the_lock_goes_when_it_is_given_back(url):
    store = ObjectStore(url)
    with hold_objects(store, "run 1") as lock:
        lock.check()
        with pytest.raises(ReportsLocked, match="owner run 1"):
            ObjectLock(store, "run 2").take()
    assert not list(store.objects())
    with hold_objects(store, "run 2") as lock:
        assert lock.conditional


def test_of_two_that_see_no_lock_one_gets_it(url, monkeypatch):
    store = ObjectStore(url)
    one, two = ObjectLock(store, "one"), ObjectLock(store, "two")
    look = object_lock._read_lock
    monkeypatch.setattr(object_lock, "_read_lock", lambda store: None)
    one.take()
    with pytest.raises(ReportsLocked):
        two.take()
    monkeypatch.setattr(object_lock, "_read_lock", look)
    one.check()


def test_a_beat_makes_it_young_and_a_silent_owner_is_dead(url, monkeypatch):
    store = ObjectStore(url)
    one, two = ObjectLock(store, "one"), ObjectLock(store, "two")
    one.take()
    before = one.etag
    one.beat()
    one.check()
    assert before
    monkeypatch.setattr(object_lock, "DEAD_AFTER_SECONDS", -1.0)
    two.take()
    with pytest.raises(ReportsLost, match="no longer ours"):
        one.check()
    one.beat()  # not over somebody else's
    two.check()
    one.release()
    two.check()


def test_a_server_without_conditions_is_noticed_and_said(url, monkeypatch, capsys):
    store = ObjectStore(url)
    monkeypatch.setattr(ObjectStore, "put_if", lambda self, name, data, etag: self.put(name, data))
    monkeypatch.setattr(object_lock, "SETTLE_SECONDS", 0.0)
    with hold_objects(store, "run 1") as lock:
        assert not lock.conditional
        with pytest.raises(ReportsLocked):
            ObjectLock(store, "run 2").take()
    assert "takes no conditional writes" in capsys.readouterr().err
