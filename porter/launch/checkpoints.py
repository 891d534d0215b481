"""Which file of a training's results is the trained model."""

from __future__ import annotations

import posixpath
from collections.abc import Collection

from porter.errors import PorterError
from porter.launch.drivers.base import Driver, sdk
from porter.records.catalog import CatalogEntry
from porter.records.jobs import Job

ENDINGS = (".pth", ".tlt", ".ckpt", ".pt", ".safetensors")
_FOLDER = "train"


def trained(driver: Driver, job: Job, found: CatalogEntry) -> str:
    """Return the checkpoint that a training has left.

    Args:
        driver: of the platform that it ran on.
        job: the training.
        found: the network.

    Raises:
        PorterError: there is none.
    """
    files = driver.files(job.results)
    if not files:
        # The platform cannot list them from here: it is where every network leaves it.
        return posixpath.join(job.results, _FOLDER, found.checkpoint)
    chosen = choose(files, found)
    if chosen:
        return posixpath.join(job.results, chosen)
    raise PorterError(
        f"{job.name} has left no checkpoint.",
        why=f"there is no {_FOLDER}/{found.checkpoint} in {job.results}",
        next_step="train.checkpoint_interval has to be at most train.num_epochs",
    )


def choose(files: Collection[str], found: CatalogEntry) -> str:
    """Return the last checkpoint among the files of a training's results; empty where there is none.

    A search compares trials by their last measurement, and so it is this one that it has measured.
    """
    kept = [path for path in files if path.startswith(f"{_FOLDER}/") and path.endswith(ENDINGS)]
    latest = f"{_FOLDER}/{found.checkpoint}"
    return latest if latest in kept else max(kept, key=_order, default="")


def _order(path: str) -> tuple[int, str]:
    return sdk("tao_sdk.checkpoints").checkpoint_epoch(path) or 0, path
