"""Whether a training is a search, and which secrets its platform, image and data need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.records.catalog import CatalogEntry, SmallProfile
from porter.records.training import AutoMlChoice, Credential, Platform, SearchRoute

_ALGORITHM = "bayesian"

_S3 = "the keys of the bucket, from who runs it"
_NGC = "https://org.ngc.nvidia.com/setup, a personal key"
_BY_PLATFORM: dict[Platform, tuple[tuple[str, str, bool], ...]] = {
    "docker": (),
    "kubernetes": (("KUBECONFIG", "a file that names the cluster; ~/.kube/config without it", False),),
    "slurm": (
        ("SLURM_USER", "your name on the cluster's login node", True),
        ("SLURM_HOSTNAME", "the cluster's login node", True),
    ),
    "brev": (("BREV_API_TOKEN", "Brev's console, settings", True),),
    "virtualenv": (),
}


def search(
    choice: AutoMlChoice,
    found: CatalogEntry,
    searchable: Collection[str],
    settled: Collection[str],
    value: Callable[[str], Any],
    profile: SmallProfile | None,
) -> SearchRoute:
    """Return whether a training is a search.

    Args:
        choice: what was asked for.
        found: the network.
        searchable: spec keys that the schema marks for a search, or the catalog in its place.
        settled: spec keys that a person set: those are not varied.
        value: gives what a spec key has.
        profile: the small one, where it is taken.

    Raises:
        UsageError: a search was asked for that cannot be.
    """
    if choice == "off":
        return SearchRoute(on=False, reason="turned off")
    parameters = tuple(sorted(set(searchable) - set(settled)))
    against = _against(found, searchable, parameters, value)
    if against and choice == "on":
        raise UsageError(
            f"AutoML cannot run on {found.name} like this.", why=against, next_step="--automl off trains once"
        )
    if against:
        return SearchRoute(on=False, reason=against)
    return SearchRoute(
        on=True,
        reason="asked for" if choice == "on" else f"on by default for {found.name}; --automl off trains once",
        algorithm=_ALGORITHM,
        metric=found.metric.key,
        direction=found.metric.direction,
        parameters=parameters,
        recommendations=profile.recommendations if profile else 0,
    )


def _against(
    found: CatalogEntry, searchable: Collection[str], parameters: Collection[str], value: Callable[[str], Any]
) -> str:
    if not found.automl.enabled:
        return "the catalog does not enable it for this network"
    for refused in found.automl.refused:
        if value(refused.key) in refused.values:
            return f"{refused.key}={str(value(refused.key)).lower()}: {refused.reason}"
    if not searchable:
        return "enabled but not runnable: the schema of this release marks no field for a search"
    if not parameters:
        return f"every field that it would vary is set: {', '.join(sorted(searchable))}"
    return ""


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
        made.append(_credential("NGC_KEY", ("NGC_API_KEY",), ", ".join(uses), _NGC, present))
    if any(uri.startswith("s3://") for uri in uris):
        made += _keys(present)
    return tuple(made)


def known(platform: Platform, present: Collection[str]) -> tuple[Credential, ...]:
    """Return every secret that jobs on a platform may need, by name; required are those that all of them do.

    Args:
        platform: where they run.
        present: names of the variables that the environment has.
    """
    kinds = "checkpoints" if platform == "virtualenv" else "images and checkpoints"
    some = [_credential("NGC_KEY", ("NGC_API_KEY",), f"NVIDIA's {kinds}", _NGC, present), *_keys(present)]
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
        for name, other in (("ACCESS_KEY", "AWS_ACCESS_KEY_ID"), ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"))
    ]


def _credential(
    name: str, others: tuple[str, ...], purpose: str, where: str, present: Collection[str]
) -> Credential:
    there = any(one in present for one in (name, *others))
    return Credential(name=name, others=others, purpose=purpose, where=where, present=there)
