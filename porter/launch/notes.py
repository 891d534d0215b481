"""What a plan has to say aloud."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from porter.launch.data import REMOTE
from porter.launch.places import Places, dataset_of
from porter.records.catalog import CatalogEntry, DataSource, Origin, RequiredInput
from porter.records.skills import SkillSource
from porter.records.training import DataFacts, SearchRoute, TrainOptions


def least(asked: RequiredInput, facts: Mapping[Origin, DataFacts]) -> tuple[int | None, str]:
    """Return the least value that the data allows for a spec key, and why; None where it is unknown."""
    if asked.at_least == "classes":
        counts = [len(known.classes) for known in facts.values() if known.classes]
        return (max(counts), f"the data has {max(counts)} classes") if counts else (None, "")
    if asked.at_least:
        ids = [known.max_category_id for known in facts.values() if known.max_category_id is not None]
        return (max(ids) + 1, f"the greatest category id of the data is {max(ids)}") if ids else (None, "")
    return None, ""


def batch_warnings(
    found: CatalogEntry, facts: Mapping[Origin, DataFacts], gpus: int, value: Callable[[str], Any]
) -> Iterator[str]:
    """Yield that there are fewer images than one batch on every GPU, where that is known."""
    key = found.shorthands.get("batch_size", "")
    size, train = value(key) if key else None, facts.get("train")
    if isinstance(size, int) and train is not None and 0 < train.images < size * gpus:
        yield f"{train.images} training images are fewer than one batch on every GPU: {key}={size} x {gpus}"


def s3_warnings(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the spec keys that are given S3 as it is."""
    for key, value in values.items():
        if isinstance(value, str) and value.startswith(REMOTE):
            yield f"{key} gets {value} as it is, and networks read no S3: --train-data, --eval-data stage it"


def unread_warnings(
    found: CatalogEntry, read: Iterable[DataSource], facts: Mapping[Origin, DataFacts]
) -> Iterator[str]:
    """Yield the datasets that were given and that nothing of the spec reads."""
    used = {dataset_of(source, facts) for source in read}
    for origin in facts:
        if origin not in used:
            yield f"{found.title} reads no {origin} set of its own: {facts[origin].uri} is not used"


def same_set_warnings(facts: Mapping[Origin, DataFacts]) -> Iterator[str]:
    """Yield that one folder was given for both sets."""
    if "eval" in facts and "train" in facts and facts["eval"].uri == facts["train"].uri:
        yield "the training set was given for validation too: its numbers say nothing of unseen images"


def hardware_warnings(found: CatalogEntry, gpus: int) -> Iterator[str]:
    """Yield that there are too few GPUs."""
    if gpus < found.hardware.gpus:
        yield f"{found.title} needs {found.hardware.gpus} GPUs, and {gpus} is asked for"
    if not gpus:
        yield "without a GPU: scripts of TAO's own networks ask for one, those of ported networks do not"


def data_notes(found: CatalogEntry, facts: Mapping[Origin, DataFacts]) -> Iterator[str]:
    """Yield what was not checked of the data."""
    for origin, known in facts.items():
        if known.kind == "remote":
            yield f"the {origin} set {known.uri} was not checked: it is read where the job runs"
        elif known.kind == "files":
            yield f"of the {origin} set {known.uri} only that its files are there was checked"
    for asked in found.inputs:
        if asked.at_least and least(asked, facts)[0] is None and "train" in (asked.actions or ("train",)):
            yield f"{asked.key} was not held against the data"


def rate_notes(found: CatalogEntry, gpus: int, value: Callable[[str], Any]) -> Iterator[str]:
    """Yield the learning rate, where it is a product."""
    if not found.launch.rate:
        return
    product: float = gpus
    for key in found.launch.rate:
        product *= value(key)
    factors = " x ".join(f"{key} {value(key):g}" for key in found.launch.rate)
    many = "s" if gpus > 1 else ""
    yield f"the learning rate will be {product:.6g}: {factors} x {gpus} GPU{many} of a node"


def launch_notes(found: CatalogEntry, gpus: int, nodes: int, value: Callable[[str], Any]) -> Iterator[str]:
    """Yield how processes are started, and on what."""
    launch, hardware = found.launch, found.hardware
    if gpus * nodes > 1:
        strategy = value(launch.choice) if launch.choice else launch.strategy
        choice = f" ({launch.choice}: {', '.join(launch.choices)})" if launch.choice else ""
        yield f"strategy {strategy}{choice}"
    if nodes > 1:
        yield "TAO's launcher writes node and GPU counts into its spec: every node gets a copy of its own"
    yield from launch.notes
    more = f"; {hardware.note}" if hardware.note else ""
    yield (
        f"hardware: {hardware.gpus} GPU with {hardware.memory_gb} GB or more, "
        f"{hardware.recommended_gpus} recommended{more}"
    )


def search_notes(
    found: CatalogEntry, route: SearchRoute, searchable: Collection[str], values: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what a search leaves alone, and what evaluation takes over from it."""
    if not route.on:
        return
    fixed = sorted(set(searchable) & set(values))
    if fixed:
        yield f"not varied, as a value is set: {', '.join(fixed)}"
    if found.automl.carried:
        yield f"evaluation takes over from the best trial: {', '.join(found.automl.carried)}"


def release_notes(source: SkillSource, image: str) -> Iterator[str]:
    """Yield that the image is of another release than the schema, as far as its name says so."""
    if image and source.version not in image:
        yield (
            f"the schema is that of {source.repository} {source.version}, and {image} does not say that it "
            "is of that release: other releases have other keys"
        )


def platform_notes(options: TrainOptions, places: Places, small: bool) -> Iterator[str]:
    """Yield what the place that a job runs in asks for."""
    if small:
        yield "the small profile: data, class count and settings for a first look, and no benchmark"
    if places.staged:
        yield "what is staged is brought to the job before it starts, and archives are unpacked"
    if options.platform == "slurm" and places.mounts:
        yield "the cluster's nodes have to see the mounted folders under the same paths"
    if options.platform == "virtualenv":
        yield "relative paths are below the job's own folder"
        if options.image:
            yield "--image is not used: a virtual environment runs the job"
