"""The two clients of object storage, each made once a process. Their failures are OSError.

botocore, Amazon's own client, does everything except reading an image's bytes. It lists every key
as it is, gives the store's code for a failure and the store's clock, and writes under a condition.
It finds address and credentials in all the usual ways: AWS_ENDPOINT_URL, AWS_PROFILE with ~/.aws,
AWS_ACCESS_KEY_ID, a role of the machine. Credentials never travel to workers.

obstore reads an object's bytes, because it needs less processor time: 0.6 ms for 0.4 MB where
botocore needs 4.0, and 5.1 ms for 4 MB where botocore needs 5.5 (`python -m tests.benchmarks
objects`). It cannot replace botocore: it reads no profiles; it cannot name keys such as `a//b`,
`/a`, `a/` and `./a`, and such a key ends a listing or appears in it under another name; it does not
give the Date of an answer; and it gives the store's code for a failure only inside a message, which
also holds names.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batch.core.errors import StoreFailed
from batch.core.location import SCHEME

logger = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS, TRIES = 10, 60, 4
"""A store that does not answer costs about six minutes for each file; the night goes on."""

CONNECTIONS = 64
REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""Codes of a store that refuses a write because its condition does not hold."""

_NOT_THERE = ("NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound", "404")
_DENIED = (
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "Forbidden",
    "InvalidAccessKeyId", "InvalidObjectState", "InvalidPayer", "InvalidSecurity", "InvalidToken",
    "NotSignedUp", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "401", "403",
)  # fmt: skip
_SIGNED_AS = {None: "us-east-1", "aws-global": "us-east-1"}
"""The region for signing requests if none is set."""

_CREDENTIAL_SECONDS = 300
"""How long obstore keeps credentials that expire. Those of botocore are valid for ten minutes at
least."""


def call(method: str, **words: Any) -> dict[str, Any]:
    """Send a request by botocore.

    Args:
        method: of botocore's client. words: its arguments.

    Raises:
        OSError: as in `ObjectStore`. StoreFailed: the libraries are not installed.
    """
    return dict(_as_os_error(lambda: getattr(_botocore(), method)(**words)))


def read_body(body: Any) -> bytes:
    """Read all bytes of an answer of botocore.

    Raises:
        OSError: the connection broke.
    """
    return bytes(_as_os_error(body.read))


def get_fast(bucket: str, key: str, max_bytes: int | None) -> tuple[bytes | None, Any] | None:
    """Read an object by obstore, in one request.

    Returns:
        bytes and metadata. The bytes are None if the object is larger than `max_bytes`. The result
        is None if obstore could not read it; botocore has to try then.

    Raises:
        StoreFailed: the libraries are not installed.
    """
    if key != key.strip("/"):
        return None  # obstore would ask for another object
    try:
        store = _as_os_error(lambda: _obstore(bucket))
    except OSError:
        return None
    import obstore

    try:
        answer = obstore.get(store, key)
        meta = answer.meta
        if max_bytes is not None and meta["size"] > max_bytes:
            return None, meta
        data = bytes(answer.bytes())
    except (FileNotFoundError, ValueError):  # not there, or a key that obstore cannot name
        return None
    except (OSError, obstore.exceptions.BaseError) as error:
        _log_once(type(error).__name__)
        return None
    return (data, meta) if len(data) == meta["size"] else None


def code_of(error: OSError) -> str:
    """The store's code for a failure, or the type of the error; no message, which holds names."""
    return _code(error.__cause__)


def store_code(error: OSError) -> str:
    """The store's code for a failure, if a store failed; else empty."""
    kind = type(error.__cause__).__module__.partition(".")[0]
    return code_of(error) if kind == "botocore" else ""


@functools.cache
def _log_once(kind: str) -> None:
    logger.info("obstore failed (%s); botocore reads what obstore cannot", kind)


@functools.cache
def _session() -> Any:
    try:
        import botocore.session
        import obstore  # noqa: F401  # so that a missing library is reported at once
    except ImportError as error:
        raise StoreFailed(
            "ARCHIVE, REPORTS", SCHEME, f"this installation lacks {error.name}",
            "pip install 'melanoma-batch[s3]'",
        ) from error  # fmt: skip
    return botocore.session.get_session()


@functools.cache
def _botocore(region: str | None = None) -> Any:
    session = _session()
    from botocore.config import Config

    return session.create_client(
        "s3",
        region_name=region,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "max_attempts": TRIES},
            # other stores than Amazon's refuse the newer checksums, which botocore adds by default
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@functools.cache
def _obstore(bucket: str) -> Any:
    """The obstore client of a bucket, with the address and credentials of botocore."""
    client = _botocore_of(bucket)
    from obstore.store import S3Store

    address = client.meta.endpoint_url
    certificates = _session().get_config_variable("ca_bundle")
    return S3Store(
        bucket,
        endpoint=address,
        region=_SIGNED_AS.get(client.meta.region_name, client.meta.region_name),
        virtual_hosted_style_request=False,
        credential_provider=_credentials,
        client_options={
            "allow_http": address.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(days=1),  # a large object may take long while bytes arrive
            "pool_max_idle_per_host": str(CONNECTIONS),
            **({"root_certificate": Path(certificates).read_bytes()} if certificates else {}),
        },
        retry_config={"max_retries": 0},  # botocore tries again
    )


def _botocore_of(bucket: str) -> Any:
    """The botocore client for a bucket's region. Amazon redirects requests to it, which obstore
    does not follow.
    """
    client = _botocore()
    if ".amazonaws.com" not in client.meta.endpoint_url:
        return client
    try:
        region = call("head_bucket", Bucket=bucket).get("BucketRegion")
    except OSError:
        return client
    return _botocore(region) if region else client


def _credentials() -> Any:
    """Credentials in obstore's form; it calls this again when they expire."""
    credentials = _session().get_credentials().get_frozen_credentials()
    expires_at = datetime.now(UTC) + timedelta(seconds=_CREDENTIAL_SECONDS)
    return {
        "access_key_id": credentials.access_key,
        "secret_access_key": credentials.secret_key,
        "token": credentials.token,
        "expires_at": expires_at if credentials.token else None,
    }


def _as_os_error(function: Callable[[], Any]) -> Any:
    """Call a function of botocore and turn its failures into OSError."""
    try:
        return function()
    except (OSError, StoreFailed):
        raise
    except Exception as error:  # the only base that errors of botocore and urllib3 share
        code = _code(error)
        if code in _NOT_THERE:
            raise FileNotFoundError(errno.ENOENT, "not in object storage") from error
        if code in _DENIED:
            raise PermissionError(errno.EACCES, "object storage refuses") from error
        raise OSError(errno.EIO, "object storage failed") from error


def _code(cause: BaseException | None) -> str:
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    kind = type(cause).__name__ if cause is not None else ""
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return "NoCredentials"
    return kind.removesuffix("Error")
