"""Objects below a prefix of object storage: listed, read, written, and written if unchanged.

Not Beam's filesystems: those tell neither an object's ETag nor let a write depend on what is there,
and they open an object with one request to read it with a second. Here an image is one GET whose
answer tells the version of the very bytes that it brings, and a lock is one PUT that a server
refuses when somebody was faster.

There are two clients (`object_clients`): obstore brings an object's bytes, with little work for the
processor; botocore does everything else, and brings what obstore cannot.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from batch.core.errors import StoreFailed
from batch.core.location import ObjectUrl
from batch.storage import object_clients
from batch.storage.object_clients import code_of

_AT_ONCE = 8
_MOST_DELETED = 1000  # in one request: S3's own limit


class Version(NamedTuple):
    """Which state of an object this is. modified: the store's time, whole seconds in its answers.

    etag: the store's own word for the content.
    """

    size: int
    modified: datetime
    etag: str


class Found(NamedTuple):
    """An object in a listing. name: below the prefix listed."""

    name: str
    version: Version


class Content(NamedTuple):
    """An object's bytes and the version that they are of."""

    data: bytes
    version: Version


class TooLarge(Exception):
    """An object is larger than the reader allows. size: in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


@dataclass(frozen=True)
class ObjectStore:
    """Objects below a prefix. A frozen value that travels: each process opens its own client.

    Every method raises OSError: FileNotFoundError where object or bucket are not there,
    PermissionError where the store refuses, others where it cannot be reached.
    """

    url: ObjectUrl

    def at(self, name: str) -> ObjectStore:
        """The store of a prefix below this one."""
        return ObjectStore(self.url / name)

    def objects(self, below: str = "", most: int | None = None) -> Iterator[Found]:
        """Objects below a prefix, in the order of their keys' bytes, a page (1000) at a time."""
        for page in self._pages(below, most=most):
            yield from self._found(page)

    def folders(self, below: str = "") -> tuple[list[Found], list[str]]:
        """Objects right below a prefix, and the prefixes right below it, each ending in `/`."""
        found: list[Found] = []
        names: list[str] = []
        for page in self._pages(below, delimiter="/"):
            found += self._found(page)
            cut = len(self.url.key(""))
            names += [each["Prefix"][cut:] for each in page.get("CommonPrefixes", ())]
        return found, names

    def get(self, name: str, max_bytes: int | None = None) -> Content:
        """An object, in one request; what is larger is not transferred.

        What obstore does not bring, for whatever reason, botocore is asked for: it tries again,
        knows the store's word for a failure, and takes keys that obstore has no name for.

        Raises:
            TooLarge: it is. OSError: see above.
        """
        brought = object_clients.get_fast(self.url.bucket, self.url.key(name), max_bytes)
        if brought is None:
            return self.get_dated(name, max_bytes)[0]
        data, meta = brought
        if data is None:
            raise TooLarge(meta["size"])
        etag = str(meta["e_tag"] or "").strip('"')
        return Content(data, Version(meta["size"], meta["last_modified"], etag))

    def get_dated(self, name: str, max_bytes: int | None = None) -> tuple[Content, datetime]:
        """An object, and the time of the answer by the store's own clock, which obstore keeps to
        itself.

        Raises:
            TooLarge: it is larger than `max_bytes`. OSError: see above.
        """
        for left in reversed(range(object_clients.TRIES)):
            try:
                return self._get(name, max_bytes)
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:  # the connection broke while the bytes came
                if not left:
                    raise
        raise AssertionError("not reached")

    def _get(self, name: str, max_bytes: int | None) -> tuple[Content, datetime]:
        answer = object_clients.call("get_object", **self._where(name))
        size = int(answer["ContentLength"])
        with closing(answer["Body"]) as body:
            if max_bytes is not None and size > max_bytes:
                raise TooLarge(size)
            data = object_clients.read_body(body)
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        return Content(data, _version(size, answer)), parsedate_to_datetime(date)

    def look(self, name: str) -> Version:
        """The version of an object, without its bytes."""
        answer = object_clients.call("head_object", **self._where(name))
        return _version(answer["ContentLength"], answer)

    def put(self, name: str, data: bytes) -> str:
        """Write an object, complete or not at all; its ETag."""
        return _etag(object_clients.call("put_object", **self._where(name), Body=data))

    def put_if(self, name: str, data: bytes, etag: str | None) -> str | None:
        """Write an object if it still has this ETag, or with None if there is none; its new ETag.

        None: it was not written, since the condition does not hold. A server that knows no
        conditions writes in any case.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            return _etag(
                object_clients.call("put_object", **self._where(name), Body=data, **condition)
            )
        except FileNotFoundError:
            if etag is None:
                raise  # no bucket
            return None
        except OSError as error:
            if code_of(error) in object_clients.REFUSED:
                return None
            raise

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there count as removed."""
        waiting = [{"Key": self.url.key(name)} for name in names]
        for start in range(0, len(waiting), _MOST_DELETED):
            some = {"Objects": waiting[start : start + _MOST_DELETED], "Quiet": True}
            answer = object_clients.call("delete_objects", Bucket=self.url.bucket, Delete=some)
            if failed := answer.get("Errors"):
                raise PermissionError(errno.EACCES, f"{len(failed)} objects cannot be removed")

    def _pages(
        self, below: str, delimiter: str = "", most: int | None = None
    ) -> Iterator[dict[str, Any]]:
        words: dict[str, Any] = {"Bucket": self.url.bucket, "Prefix": self.url.key(below)}
        words |= {"Delimiter": delimiter} if delimiter else {}
        words |= {"MaxKeys": most} if most else {}
        while True:
            page = object_clients.call("list_objects_v2", **words)
            yield page
            if most or not page.get("IsTruncated"):
                return
            words["ContinuationToken"] = page["NextContinuationToken"]

    def _found(self, page: dict[str, Any]) -> Iterator[Found]:
        cut = len(self.url.key(""))
        for each in page.get("Contents", ()):
            yield Found(each["Key"][cut:], _version(each["Size"], each))

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self.url.bucket, "Key": self.url.key(name)}


def at_once(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Call a function for many objects, a few at a time: a store answers late, and in parallel."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="objects") as pool:
        return list(pool.map(function, items))


def check_store(option: str, url: ObjectUrl) -> None:
    """Make sure that the store answers and the bucket is there.

    Raises:
        StoreFailed: says which of it is not so, and what to do.
    """
    try:
        for _ in ObjectStore(url).objects(most=1):
            break
    except OSError as error:
        raise explained(option, url, error) from error


def explained(option: str, url: ObjectUrl, error: OSError) -> StoreFailed:
    """What failed with a store as a whole, in words of ours."""
    code = code_of(error)
    if code == "NoSuchBucket" or isinstance(error, FileNotFoundError):
        return StoreFailed(
            option, url, f"no bucket {url.bucket!r}", "Make it, or correct the name."
        )
    if code == "NoCredentials":
        return StoreFailed(
            option, url, "no credentials found",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role.",
        )  # fmt: skip
    if isinstance(error, PermissionError):
        return StoreFailed(
            option, url, f"access is refused ({code or 'no reason given'})",
            "Check the credentials, and that they may list, read and (for REPORTS) write here.",
        )  # fmt: skip
    return StoreFailed(
        option, url, f"the store does not answer ({code or type(error).__name__})",
        "Check AWS_ENDPOINT_URL, region and network, then start again.",
    )  # fmt: skip


def _version(size: int, answer: dict[str, Any]) -> Version:
    return Version(int(size), answer["LastModified"], _etag(answer))


def _etag(answer: dict[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')
