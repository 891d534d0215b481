"""Which secrets and settings a job's platform, image and data need of the environment."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from porter.records.training import Credential, Platform

KEYS = ("ACCESS_KEY", "SECRET_KEY")
"""Of a bucket of S3."""

SESSION = "AWS_SESSION_TOKEN"
"""Goes with keys that hold for some hours."""

NGC = "NGC_KEY"

_S3 = "the keys of the bucket, from who runs it"
_NGC = "https://org.ngc.nvidia.com/setup, a personal key"
_BY_PLATFORM: dict[Platform, tuple[tuple[str, str, bool], ...]] = {
    "docker": (),
    "kubernetes": (
        ("KUBECONFIG", "a file that names the cluster; ~/.kube/config without it", False),
        ("S3_BUCKET_NAME", "a bucket that results go to", True),
    ),
    "slurm": (
        ("SLURM_USER", "your name on the cluster's login node", True),
        ("SLURM_HOSTNAME", "the cluster's login node", True),
        ("SLURM_PARTITION", "sinfo on the login node lists them", True),
        ("SLURM_BASE_RESULTS_DIR", "a folder of the cluster's file system that results go to", True),
    ),
    "brev": (
        ("BREV_API_TOKEN", "Brev's console, settings", True),
        ("S3_BUCKET_NAME", "a bucket that results go to", True),
    ),
    "virtualenv": (),
}

_BUCKET: tuple[Platform, ...] = ("kubernetes", "brev")
"""Platforms whose jobs take their results to S3."""


def credentials(
    platform: Platform, image: str, sources: Iterable[str], present: Collection[str]
) -> tuple[Credential, ...]:
    """Return the secrets that a job needs, by name.

    Args:
        platform: where it runs.
        image: that it runs in.
        sources: URIs of data and checkpoints.
        present: names of the variables that the environment has.
    """
    uris = tuple(sources)
    made = _own(platform, present)
    uses = [f"image {image}"] if platform != "virtualenv" and image.startswith("nvcr.io/") else []
    uses += [f"checkpoint {uri}" for uri in uris if not uri.startswith(("/", "s3://"))]
    if uses:
        made.append(_credential(NGC, ("NGC_API_KEY",), ", ".join(uses), _NGC, present))
    if platform in _BUCKET or any(uri.startswith("s3://") for uri in uris):
        made += _keys(present)
    return tuple(made)


def known(platform: Platform, present: Collection[str]) -> tuple[Credential, ...]:
    """Return every secret that jobs on a platform may need, by name; required are those that all of them do.

    Args:
        platform: where they run.
        present: names of the variables that the environment has.
    """
    kinds = "checkpoints" if platform == "virtualenv" else "images and checkpoints"
    some = [_credential(NGC, ("NGC_API_KEY",), f"NVIDIA's {kinds}", _NGC, present), *_keys(present)]
    return (
        *_own(platform, present),
        *(msgspec.structs.replace(one, required=False) for one in some),
    )


def _own(platform: Platform, present: Collection[str]) -> list[Credential]:
    return [
        Credential(
            name=name, purpose=f"platform {platform}", where=where, required=need, present=name in present
        )
        for name, where, need in _BY_PLATFORM[platform]
    ]


def _keys(present: Collection[str]) -> list[Credential]:
    return [
        _credential(name, (other,), "data of S3", _S3, present)
        for name, other in zip(KEYS, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), strict=True)
    ]


def _credential(
    name: str, others: tuple[str, ...], purpose: str, where: str, present: Collection[str]
) -> Credential:
    there = any(one in present for one in (name, *others))
    return Credential(name=name, others=others, purpose=purpose, where=where, present=there)
