"""A client for object storage: the only importer of fsspec.

fsspec's s3fs and not Beam's filesystems: those tell neither an object's ETag nor let a write depend
on what is there, and they open an object with one request to read it with a second. Here an image
is one GET whose answer tells the version of the very bytes that it brings, and a lock is one PUT
that a server refuses when somebody was faster.

Address and credentials come from the environment, as for every S3 program (AWS_ENDPOINT_URL,
AWS_PROFILE, AWS_ACCESS_KEY_ID, a role of the machine); they never travel to workers.
"""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from batch.core.errors import StoreFailed
from batch.core.location import SCHEME, ObjectUrl

CONNECT_SECONDS, READ_SECONDS, TRIES = 10, 60, 4
"""A store that does not answer costs a file about five minutes, and not the night."""

CONNECTIONS = 64
_AT_ONCE = 8
_MOST_DELETED = 1000  # in one request: S3's own limit
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


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
    """An object's bytes and the version that they are of. now: the store's clock, if it told."""

    data: bytes
    version: Version
    headers: dict[str, str]


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

        Raises:
            TooLarge: it is. OSError: see above.
        """
        for left in reversed(range(TRIES)):
            try:
                return _run(_get, self._where(name), max_bytes)
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:  # the connection broke while the bytes came
                if not left:
                    raise
        raise AssertionError("not reached")

    def look(self, name: str) -> Version:
        """The version of an object, without its bytes."""
        answer = _call("head_object", **self._where(name))
        return _version(answer["ContentLength"], answer)

    def put(self, name: str, data: bytes) -> str:
        """Write an object, complete or not at all; its ETag."""
        return _etag(_call("put_object", **self._where(name), Body=data))

    def put_if(self, name: str, data: bytes, etag: str | None) -> str | None:
        """Write an object if it still has this ETag, or with None if there is none; its new ETag.

        None: it was not written, since the condition does not hold. A server that knows no
        conditions writes in any case.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            return _etag(_call("put_object", **self._where(name), Body=data, **condition))
        except FileNotFoundError:
            if etag is None:
                raise  # no bucket
            return None
        except OSError as error:
            if code_of(error) in _REFUSED:
                return None
            raise

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there count as removed."""
        waiting = [{"Key": self.url.key(name)} for name in names]
        for start in range(0, len(waiting), _MOST_DELETED):
            some = {"Objects": waiting[start : start + _MOST_DELETED], "Quiet": True}
            answer = _call("delete_objects", Bucket=self.url.bucket, Delete=some)
            if failed := answer.get("Errors"):
                raise PermissionError(errno.EACCES, f"{len(failed)} objects cannot be removed")

    def _pages(
        self, below: str, delimiter: str = "", most: int | None = None
    ) -> Iterator[dict[str, Any]]:
        words: dict[str, Any] = {"Bucket": self.url.bucket, "Prefix": self.url.key(below)}
        words |= {"Delimiter": delimiter} if delimiter else {}
        words |= {"MaxKeys": most} if most else {}
        while True:
            page = _call("list_objects_v2", **words)
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


@functools.cache
def _filesystem() -> Any:
    try:
        import fsspec
        import s3fs  # noqa: F401  # fsspec would name it in an error of its own
    except ImportError as error:
        raise StoreFailed(
            "ARCHIVE, REPORTS", SCHEME, "this installation lacks s3fs",
            "pip install 'melanoma-batch[s3]'",
        ) from error  # fmt: skip
    return fsspec.filesystem(
        "s3",
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "max_pool_connections": CONNECTIONS,
            "retries": {"mode": "standard", "max_attempts": TRIES},
            # stores that are not Amazon's refuse the newer checksums when nobody asked for them
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    )


def _call(method: str, **words: Any) -> dict[str, Any]:
    return dict(_run(_plain, method, words))


async def _plain(filesystem: Any, method: str, words: dict[str, Any]) -> Any:
    return await filesystem._call_s3(method, **words)


async def _get(filesystem: Any, where: dict[str, str], max_bytes: int | None) -> Content:
    answer = await filesystem._call_s3("get_object", **where)
    async with answer["Body"] as body:
        size = int(answer["ContentLength"])
        if max_bytes is not None and size > max_bytes:
            raise TooLarge(size)
        data = await body.read()
    if len(data) != size:
        raise OSError(errno.EIO, "the answer ended early")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return Content(data, _version(size, answer), dict(headers))


def _run(function: Any, *arguments: Any) -> Any:
    """Run on fsspec's own loop, whichever thread asks; failures as OSError."""
    from fsspec.asyn import sync

    filesystem = _filesystem()
    try:
        return sync(filesystem.loop, function, filesystem, *arguments)
    except (OSError, TooLarge):
        raise
    except asyncio.CancelledError:
        raise
    except Exception as error:  # botocore's and aiohttp's kinds, which share no base but this one
        raise OSError(errno.EIO, "object storage failed") from error


def code_of(error: OSError) -> str:
    """The store's own word for a failure, or the kind of it; never a message, which has names."""
    if isinstance(error, FileExistsError):
        return _REFUSED[0]
    cause = error.__cause__
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    kind = type(cause).__name__ if cause is not None else ""
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return "NoCredentials"
    return kind.removesuffix("Error")


def store_code(error: OSError) -> str:
    """The store's own word, if it was a store that failed; else empty."""
    kind = type(error.__cause__).__module__.partition(".")[0]
    return code_of(error) if kind in ("botocore", "aiobotocore", "aiohttp") else ""


def _version(size: int, answer: dict[str, Any]) -> Version:
    return Version(int(size), answer["LastModified"], _etag(answer))


def _etag(answer: dict[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')
