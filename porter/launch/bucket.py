"""What S3 holds below a URI, and getting it: with boto3, which is in the extra of `porter train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from porter.errors import DataError
from porter.launch.drivers.base import sdk
from porter.launch.unpack import FULL, full, leaves
from porter.records.base import Record

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 3
_CONNECTIONS = 32
_NONE = ("404", "NoSuchKey", "NotFound")
_KEYS = "set ACCESS_KEY and SECRET_KEY to keys that may read the bucket"
_CAUSES: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "check the bucket's name, and the endpoint"),
    "403": ("access is denied", _KEYS),
    "AccessDenied": ("access is denied", _KEYS),
    "InvalidAccessKeyId": ("S3 does not know the access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret key does not go with the access key", _KEYS),
    "ExpiredToken": ("the keys have expired", "get new ones, or log in again"),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "set the clock"),
    "PermanentRedirect": ("the bucket is in another region", "set CLOUD_REGION to the bucket's region"),
    "301": ("the bucket is in another region", "set CLOUD_REGION to the bucket's region"),
}


class Stored(Record, frozen=True, kw_only=True):
    """An object: its key, its path below what was asked for (empty where it is that), bytes and ETag."""

    key: str
    path: str
    size: int
    etag: str


class Bucket:
    """One bucket, with the endpoint and the keys that the environment has.

    Args:
        uri: ``s3://BUCKET/PATH``; the path is that of a file, or of everything below it.
        variables: of the environment.

    Raises:
        PorterError: boto3 is not installed.
        DataError: it cannot be used with what the environment says.
    """

    def __init__(self, uri: str, variables: Mapping[str, str] | None = None) -> None:
        self.uri = uri
        place = urlsplit(uri)
        self.name, self.path = place.netloc, place.path.strip("/")
        found = os.environ if variables is None else variables
        with self._explained():
            self._client = _client(found)

    def file(self) -> Stored | None:
        """Return the object that the URI names; None where there is none.

        Raises:
            DataError: the bucket cannot be asked.
        """
        if not self.path:
            return None
        from botocore.exceptions import ClientError

        with self._explained():
            try:
                head = self._client.head_object(Bucket=self.name, Key=self.path)
            except ClientError as error:
                if _code(error) not in _NONE:
                    raise
                # The answer to a HEAD has no words: a bucket that is not there looks the same.
                self._client.list_objects_v2(Bucket=self.name, MaxKeys=1, Prefix=self.path)
                return None
        return Stored(key=self.path, path="", size=head["ContentLength"], etag=head["ETag"])

    def content(self) -> bytes | None:
        """Return the bytes of the object that the URI names; None where there is none.

        Raises:
            DataError: the bucket cannot be asked.
        """
        from botocore.exceptions import ClientError

        with self._explained():
            try:
                data: bytes = self._client.get_object(Bucket=self.name, Key=self.path)["Body"].read()
            except ClientError as error:
                if _code(error) not in _NONE:
                    raise
                return None
        return data

    def below(self) -> tuple[Stored, ...]:
        """Return the objects below the URI, as those of a folder, in the order of their keys.

        Raises:
            DataError: the bucket cannot be asked, or a key would leave the folder.
        """
        prefix = f"{self.path}/" if self.path else ""
        found = []
        with self._explained():
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix
            ):
                for item in page.get("Contents", ()):
                    path = item["Key"].removeprefix(prefix)
                    if path and not path.endswith("/"):
                        found.append(Stored(key=item["Key"], path=path, size=item["Size"], etag=item["ETag"]))
        outside = [one.key for one in found if leaves(one.path)]
        if outside:
            raise DataError(
                f"{self.uri} has objects that would be put outside its folder.",
                why=f"such as {outside[0]}",
                next_step="rename them, or name a folder without them",
            )
        return tuple(found)

    def fetch(self, stored: Stored, path: Path, told: Callable[[int], None]) -> None:
        """Write an object to *path*, whose folder is made.

        Args:
            stored: as :meth:`file` and :meth:`below` give it.
            path: of the new file.
            told: called with the bytes of each piece, from several threads.

        Raises:
            DataError: it cannot be read, has changed since it was looked at, or the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._client.download_file(self.name, stored.key, str(path), Callback=told)
        if path.stat().st_size != stored.size:
            raise DataError(
                f"s3://{self.name}/{stored.key} has changed while it was fetched.",
                why=f"it had {stored.size} bytes, and {path.stat().st_size} came",
                next_step="repeat the command when nobody writes there",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # What botocore says may name the endpoint as it was typed, so it is told by its kind alone.
        exceptions = sdk("botocore.exceptions")
        transfer = sdk("boto3.exceptions")
        try:
            yield
        except (exceptions.ClientError, transfer.Boto3Error) as error:
            code = _code(error)
            cause, fix = _CAUSES.get(code, (f"S3 answered {code}", "see whether the bucket can be read"))
            raise DataError(f"{self.uri} cannot be read: {cause}.", next_step=fix) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise DataError(f"{self.uri} cannot be read: there are no keys.", next_step=_KEYS) from None
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise DataError(
                f"{self.uri} cannot be read: S3 does not answer.",
                why=type(error).__name__,
                next_step="check the network, and the address in S3_ENDPOINT_URL or AWS_ENDPOINT_URL",
            ) from None
        except (exceptions.BotoCoreError, ValueError) as error:
            raise DataError(
                f"{self.uri} cannot be read.",
                why=type(error).__name__,
                next_step="check the bucket's name, S3_ENDPOINT_URL, CLOUD_REGION and the settings of AWS",
            ) from None
        except OSError as error:
            if error.errno in FULL:
                raise full(self.uri) from error
            raise DataError(
                f"{self.uri} cannot be written to the run's folder.",
                why=str(error),
                next_step="make the folder writable; a file and a folder of one name cannot both be there",
            ) from error


def has_keys(variables: Mapping[str, str] | None = None) -> bool:
    """Return whether boto3 finds keys: in the environment, a profile, or what the machine's owner gave it."""
    exceptions = sdk("botocore.exceptions")
    session = sdk("botocore.session").get_session()
    found = os.environ if variables is None else variables
    if _given(found):
        return True
    try:
        return session.get_credentials() is not None
    except exceptions.BotoCoreError:
        return False


def _client(variables: Mapping[str, str]) -> Any:
    config = sdk("botocore.config").Config(
        connect_timeout=_CONNECT_SECONDS,
        max_pool_connections=_CONNECTIONS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    return sdk("boto3").client(
        "s3",
        config=config,
        endpoint_url=variables.get("S3_ENDPOINT_URL") or variables.get("AWS_ENDPOINT_URL") or None,
        region_name=variables.get("CLOUD_REGION") or variables.get("AWS_REGION") or None,
        **_given(variables),
    )


def _given(variables: Mapping[str, str]) -> dict[str, str]:
    """Return keys in the names of the SDK; without them boto3 looks for those of AWS by itself."""
    if not (variables.get("ACCESS_KEY") or variables.get("SECRET_KEY")):
        return {}
    access = variables.get("ACCESS_KEY") or variables.get("AWS_ACCESS_KEY_ID")
    secret = variables.get("SECRET_KEY") or variables.get("AWS_SECRET_ACCESS_KEY")
    if not (access and secret):
        return {}
    return {"aws_access_key_id": access, "aws_secret_access_key": secret}


def _code(error: Any) -> str:
    """Return S3's own word for an error, also of one that a transfer has wrapped."""
    response = getattr(error, "response", None) or getattr(error.__context__, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
