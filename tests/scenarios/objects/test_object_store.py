"""What is said of a store that cannot be used, and of names that are none."""

from __future__ import annotations

import sys

import pytest

from batch.core.errors import StoreFailed, UsageError
from batch.core.location import ObjectUrl, folder, place
from batch.storage import object_clients, object_store
from batch.storage.object_clients import store_code
from batch.storage.object_store import ObjectStore, TooLarge, store_failure

HERE = ObjectUrl("hospital", "reports")


class ClientError(Exception):
    """As botocore raises it."""

    __module__ = "botocore.exceptions"

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code, "Message": "Jane^Doe"}}


def failure(kind: type[OSError], cause: Exception) -> OSError:
    error = kind(5, "Jane^Doe")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (failure(PermissionError, ClientError("AccessDenied")), "access is refused (AccessDenied)"),
        (failure(FileNotFoundError, ClientError("NoSuchBucket")), "no bucket 'hospital'"),
        (failure(OSError, ClientError("SlowDown")), "the store does not answer (SlowDown)"),
    ],
)
def test_a_failure_is_told_in_the_stores_own_word_and_never_with_its_message(error, said):
    message = str(store_failure("--output", HERE, error))
    assert message.startswith(f"--output: s3://hospital/reports: {said}. ")
    assert "Jane" not in message
    assert store_code(error) in said or "NoSuchBucket" in store_code(error)


def test_a_failing_disk_is_no_failing_store():
    assert store_code(OSError(28, "no space")) == ""
    assert store_code(failure(OSError, ValueError("x"))) == ""


@pytest.mark.parametrize("lacking", ["botocore.session", "obstore"])
def test_an_installation_without_the_extra_says_which(monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    object_clients._session.cache_clear()
    with pytest.raises(StoreFailed, match=r"pip install 'melanoma-batch\[s3\]'"):
        list(ObjectStore(HERE).objects())
    object_clients._session.cache_clear()


@pytest.mark.parametrize(
    ("word", "bucket", "prefix"),
    [
        ("s3://hospital", "hospital", ""),
        ("s3://hospital/", "hospital", ""),
        ("s3://hospital/a/b/", "hospital", "a/b"),
    ],
)
def test_a_url_is_bucket_and_prefix(word, bucket, prefix):
    url = place(word)
    assert url == ObjectUrl(bucket, prefix)
    assert str(url) == word.rstrip("/")
    assert (url / "c").key("d") == "/".join(filter(None, [prefix, "c", "d"]))


def test_one_prefix_holds_another_by_its_parts():
    assert ObjectUrl("b").holds(ObjectUrl("b", "a"))
    assert ObjectUrl("b", "a").holds(ObjectUrl("b", "a"))
    assert not ObjectUrl("b", "a").holds(ObjectUrl("b", "ab"))
    assert not ObjectUrl("b", "a").holds(ObjectUrl("c", "a"))


def test_a_place_of_this_machine_is_no_url():
    with pytest.raises(UsageError, match="allowed: a path of this machine"):
        folder("s3://hospital/x")


def test_what_is_too_large_is_not_transferred(url):
    ObjectStore(url).put("a", b"12345")
    assert ObjectStore(url).get("a", 5).data == b"12345"
    with pytest.raises(TooLarge, match="5"):
        ObjectStore(url).get("a", 4)


def test_a_condition_holds_or_nothing_is_written(url):
    there = ObjectStore(url)
    first = there.put_if("a", b"1", None)
    assert first is not None
    assert there.put_if("a", b"2", None) is None
    assert there.put_if("a", b"2", "0" * 32) is None
    assert there.put_if("a", b"3", first) is not None
    assert there.get("a").data == b"3"


def test_more_objects_than_one_request_removes_are_removed(url, monkeypatch):
    monkeypatch.setattr(object_store, "_MOST_DELETED", 3)
    there = ObjectStore(url)
    for number in range(7):
        there.put(str(number), b"x")
    there.delete([*map(str, range(7)), "not-there"])
    assert not list(there.objects())
