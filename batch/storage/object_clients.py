"""The two clients of object storage, made once a process, and their failures as OSError.

botocore, which is Amazon's own, does everything but bring an image's bytes: it lists keys as they
are, tells the store's word for a failure and the store's clock, writes under a condition, and knows
all the places where address and credentials may stand (AWS_ENDPOINT_URL, AWS_PROFILE with
~/.aws, AWS_ACCESS_KEY_ID, a role of the machine). They never travel to workers.

obstore brings an object's bytes, because it needs less of the processor: 0.6 ms for 0.4 MB where
botocore needs 4.0, 5.1 for 4 MB where botocore needs 5.5 (`python -m tests.benchmarks objects`). It
cannot replace botocore. It reads no profiles. It has no names for keys such as `a//b`, `/a`, `a/`
and `./a`, and one of them ends a listing or is listed under another name. It does not tell the Date
of an answer, and a store's word for a failure only within a message, which has names.
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
"""A store that does not answer costs a file about six minutes, and not the night."""

CONNECTIONS = 64
REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""What a store says to a write whose condition does not hold."""

_NOT_THERE = ("NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound", "404")
_DENIED = (
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "Forbidden",
    "InvalidAccessKeyId", "InvalidObjectState", "InvalidPayer", "InvalidSecurity", "InvalidToken",
    "NotSignedUp", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "401", "403",
)  # fmt: skip
_SIGNED_AS = {None: "us-east-1", "aws-global": "us-east-1"}
"""The region that signs a request where none is set."""

_CREDENTIAL_SECONDS = 300
"""How long obstore keeps credentials that end: botocore's are good for ten minutes at least."""


def call(method: str, **words: Any) -> dict[str, Any]:
    """Ask the store by botocore.

    Raises:
        OSError: as `ObjectStore` says. StoreFailed: the libraries are not installed.
    """
    return dict(_as_os_error(lambda: getattr(_botocore(), method)(**words)))


def read_body(body: Any) -> bytes:
    """The bytes of an answer of botocore's, all of them.

    Raises:
        OSError: the connection broke.
    """
    return bytes(_as_os_error(body.read))


def get_fast(bucket: str, key: str, max_bytes: int | None) -> tuple[bytes | None, Any] | None:
    """An object's bytes and what the answer told of it, by obstore, in one request.

    None: obstore did not bring it. Bytes None: it is larger than `max_bytes`.

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
    except (FileNotFoundError, ValueError):  # not there, or a key that obstore has no name for
        return None
    except (OSError, obstore.exceptions.BaseError) as error:
        _log_once(type(error).__name__)
        return None
    return (data, meta) if len(data) == meta["size"] else None


def code_of(error: OSError) -> str:
    """The store's own word for a failure, or the kind of it; never a message, which has names."""
    return _word(error.__cause__)


def store_code(error: OSError) -> str:
    """The store's own word, if it was a store that failed; else empty."""
    kind = type(error.__cause__).__module__.partition(".")[0]
    return code_of(error) if kind == "botocore" else ""


@functools.cache
def _log_once(kind: str) -> None:
    logger.info("obstore failed (%s); botocore is asked for what it does not bring", kind)


@functools.cache
def _session() -> Any:
    try:
        import botocore.session
        import obstore  # noqa: F401  # so that an installation without it is told at once
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
            # stores that are not Amazon's refuse the newer checksums when nobody asked for them
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@functools.cache
def _obstore(bucket: str) -> Any:
    """A bucket's client of obstore's, with address and credentials as botocore found them."""
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
            "timeout": timedelta(days=1),  # a large object may take long, as long as bytes come
            "pool_max_idle_per_host": str(CONNECTIONS),
            **({"root_certificate": Path(certificates).read_bytes()} if certificates else {}),
        },
        retry_config={"max_retries": 0},  # botocore tries again
    )


def _botocore_of(bucket: str) -> Any:
    """The client for the region where a bucket is: Amazon redirects, which obstore does not
    follow.
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
    """Credentials as obstore wants them; it asks again when they end."""
    found = _session().get_credentials()
    now = found.get_frozen_credentials()
    ends = datetime.now(UTC) + timedelta(seconds=_CREDENTIAL_SECONDS)
    return {
        "access_key_id": now.access_key,
        "secret_access_key": now.secret_key,
        "token": now.token,
        "expires_at": ends if now.token else None,
    }


def _as_os_error(function: Callable[[], Any]) -> Any:
    """What a function of botocore's gives; its failures as OSError."""
    try:
        return function()
    except (OSError, StoreFailed):
        raise
    except Exception as error:  # botocore's and urllib3's kinds, which share no base but this one
        code = _word(error)
        if code in _NOT_THERE:
            raise FileNotFoundError(errno.ENOENT, "not in object storage") from error
        if code in _DENIED:
            raise PermissionError(errno.EACCES, "object storage refuses") from error
        raise OSError(errno.EIO, "object storage failed") from error


def _word(cause: BaseException | None) -> str:
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    kind = type(cause).__name__ if cause is not None else ""
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return "NoCredentials"
    return kind.removesuffix("Error")
