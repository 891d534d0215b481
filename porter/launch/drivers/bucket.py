"""Results that lie in the bucket of ``S3_BUCKET_NAME``, at Amazon or at ``S3_ENDPOINT_URL``."""

from __future__ import annotations

import os
from typing import Any

from porter.errors import DataError, PorterError
from porter.launch.bucket import Bucket
from porter.launch.drivers.containers import ContainerDriver
from porter.records.jobs import RESULTS, JobRequest

_BUCKET = "S3_BUCKET_NAME"


class BucketDriver(ContainerDriver):
    """A platform whose jobs take their results to the bucket when they have ended well, and none otherwise.

    Until then there is nothing to read of them but what they print.
    """

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results.

        Raises:
            DataError: the bucket cannot be asked.
        """
        return Bucket(f"{results}/{path}").content()

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""
        try:
            return tuple(sorted(stored.path for stored in Bucket(results).below()))
        except DataError:
            return ()

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
