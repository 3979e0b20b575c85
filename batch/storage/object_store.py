"""Objects below a prefix of object storage: list, read, write, and write if unchanged.

Beam's own filesystems do not suffice. They give no ETag, cannot make a write depend on what is
there, and need two requests to read an object. Here an image is one GET, whose answer also gives
the version of these bytes, and a lock is one PUT, which the server refuses if another was faster.

There are two clients (`object_clients`): obstore reads an object's bytes; botocore does everything
else, and reads what obstore cannot.
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

from batch.core.errors import StoreFailed, StoreSilent
from batch.core.location import ObjectUrl
from batch.storage import object_clients
from batch.storage.object_clients import code_of

_AT_ONCE = 8
_MOST_DELETED = 1000  # in one request: S3's own limit


class Version(NamedTuple):
    """A version of an object.

    size: bytes.
    modified: by the store's clock, in whole seconds.
    etag: the store's name for the content.
    """

    size: int
    modified: datetime
    etag: str


class ListedObject(NamedTuple):
    """An object in a listing. name: its key without the prefix of the store."""

    name: str
    version: Version


class Content(NamedTuple):
    """An object's bytes and their version."""

    data: bytes
    version: Version


class TooLarge(Exception):
    """An object is larger than the reader allows. size: bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


@dataclass(frozen=True)
class ObjectStore:
    """Objects below a prefix. A frozen value that travels; each process opens its own client.

    Every method raises OSError: FileNotFoundError if the object or bucket does not exist,
    PermissionError if the store refuses, another OSError if it cannot be reached.
    """

    url: ObjectUrl

    def at(self, name: str) -> ObjectStore:
        """The store of a prefix below this one."""
        return ObjectStore(self.url / name)

    def objects(self, below: str = "", most: int | None = None) -> Iterator[ListedObject]:
        """Objects below a prefix, in the order of the bytes of their keys, 1000 a request."""
        for page in self._pages(below, most=most):
            yield from self._listed(page)

    def folders(self, below: str = "") -> tuple[list[ListedObject], list[str]]:
        """Objects right below a prefix, and the prefixes right below it, each ending in `/`."""
        objects: list[ListedObject] = []
        folders: list[str] = []
        for page in self._pages(below, delimiter="/"):
            objects += self._listed(page)
            cut = len(self.url.key(""))
            folders += [entry["Prefix"][cut:] for entry in page.get("CommonPrefixes", ())]
        return objects, folders

    def get(self, name: str, max_bytes: int | None = None) -> Content:
        """Read an object in one request; a larger one than `max_bytes` is not transferred.

        If obstore fails, for whatever reason, botocore reads it: it tries again, gives the store's
        code for a failure, and accepts keys that obstore cannot name.

        Raises:
            TooLarge: it is larger than `max_bytes`. OSError: see above.
        """
        answer = object_clients.get_fast(self.url.bucket, self.url.key(name), max_bytes)
        if answer is None:
            return self.get_dated(name, max_bytes)[0]
        data, meta = answer
        if data is None:
            raise TooLarge(meta["size"])
        etag = str(meta["e_tag"] or "").strip('"')
        return Content(data, Version(meta["size"], meta["last_modified"], etag))

    def get_dated(self, name: str, max_bytes: int | None = None) -> tuple[Content, datetime]:
        """Read an object by botocore, with the time of the answer by the store's own clock.

        Raises:
            TooLarge: it is larger than `max_bytes`. OSError: see above.
        """
        for tries_left in reversed(range(object_clients.TRIES)):
            try:
                return self._get(name, max_bytes)
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:  # the connection broke while the bytes came
                if not tries_left:
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
        """Write an object, complete or not at all, and return its ETag."""
        return _etag(object_clients.call("put_object", **self._where(name), Body=data))

    def put_if(self, name: str, data: bytes, etag: str | None) -> str | None:
        """Write an object under a condition.

        Args:
            etag: write only if the object still has this ETag; None: only if it does not exist.

        Returns:
            the new ETag; None if the condition does not hold and nothing was written. A server
            without conditional writes writes in any case.
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
        """Remove objects; an object that does not exist counts as removed."""
        keys = [{"Key": self.url.key(name)} for name in names]
        for start in range(0, len(keys), _MOST_DELETED):
            request = {"Objects": keys[start : start + _MOST_DELETED], "Quiet": True}
            answer = object_clients.call("delete_objects", Bucket=self.url.bucket, Delete=request)
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

    def _listed(self, page: dict[str, Any]) -> Iterator[ListedObject]:
        cut = len(self.url.key(""))
        for entry in page.get("Contents", ()):
            yield ListedObject(entry["Key"][cut:], _version(entry["Size"], entry))

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self.url.bucket, "Key": self.url.key(name)}


def call_in_parallel(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Call a function for many objects, eight at a time, and return the results in order."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="objects") as pool:
        return list(pool.map(function, items))


def check_store(option: str, url: ObjectUrl) -> None:
    """Make sure that the store answers and the bucket is there.

    Raises:
        StoreFailed: it does not; the message says why and what to do.
    """
    try:
        for _ in ObjectStore(url).objects(most=1):
            break
    except OSError as error:
        raise store_failure(option, url, error) from error


def store_failure(option: str, url: ObjectUrl, error: OSError) -> StoreFailed:
    """Turn an error of a store as a whole into a message with the remedy."""
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
    return StoreSilent(
        option, url, f"the store does not answer ({code or type(error).__name__})",
        "Check AWS_ENDPOINT_URL, region and network, then start again.",
    )  # fmt: skip


def _version(size: int, answer: dict[str, Any]) -> Version:
    return Version(int(size), answer["LastModified"], _etag(answer))


def _etag(answer: dict[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')
