"""Results that lie in the bucket of ``S3_BUCKET_NAME``, at Amazon or at ``S3_ENDPOINT_URL``."""

from __future__ import annotations

import os
from typing import Any

from porter.errors import PorterError
from porter.launch.drivers import base
from porter.launch.drivers.containers import ContainerDriver
from porter.records.jobs import RESULTS, JobRequest

_BUCKET = "S3_BUCKET_NAME"
_SECONDS = 20


class BucketDriver(ContainerDriver):
    """A platform whose jobs take their results to the bucket when they have ended well, and none otherwise.

    Until then there is nothing to read of them but what they print.
    """

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results."""
        bucket, prefix = _parts(results)
        try:
            data: bytes = _client().get_object(Bucket=bucket, Key=prefix + path)["Body"].read()
        except _failures():
            return None
        return data

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""
        bucket, prefix = _parts(results)
        try:
            pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        except _failures():
            return ()
        return tuple(sorted(key.removeprefix(prefix) for key in keys if not key.endswith("/")))

    def _refuse(self, request: JobRequest) -> None:
        super()._refuse(request)
        if not os.environ.get(_BUCKET):
            raise PorterError(
                f"There is nowhere to put the results of {request.name}.",
                why=f"{_BUCKET} is not set: what a job writes would go away with its container",
                next_step=f"export {_BUCKET}=NAME, with ACCESS_KEY and SECRET_KEY of who may write to it",
            )

    def _results(self, row: dict[str, Any]) -> str:
        return f"{row['results_dir']}/{RESULTS}"


def _parts(results: str) -> tuple[str, str]:
    """Return bucket and prefix of an ``s3://`` URI."""
    bucket, _, prefix = results.removeprefix("s3://").partition("/")
    return bucket, f"{prefix.rstrip('/')}/"


def _client() -> Any:
    config = base.sdk("botocore.config").Config(
        connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"max_attempts": 2}
    )
    return base.sdk("boto3").client(
        "s3",
        endpoint_url=os.environ.get("S3_ENDPOINT_URL") or None,
        region_name=os.environ.get("CLOUD_REGION") or None,
        aws_access_key_id=os.environ.get("ACCESS_KEY") or None,
        aws_secret_access_key=os.environ.get("SECRET_KEY") or None,
        config=config,
    )


def _failures() -> tuple[type[Exception], ...]:
    """Return what boto3 raises where something is not there, not allowed, or does not answer."""
    errors = base.sdk("botocore.exceptions")
    return errors.BotoCoreError, errors.ClientError
