"""The plan of a training: records in, a record out; nothing is read and nothing is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from porter.errors import DataError, SettingError, UsageError
from porter.launch import notes, schema
from porter.launch import settings as typed
from porter.launch.data import REMOTE
from porter.launch.places import Places, fill, read_by
from porter.launch.routing import credentials
from porter.launch.searching import search
from porter.launch.settings import Fields
from porter.records.catalog import BaseCheckpoint, CatalogEntry, DataSource, Origin, SmallProfile
from porter.records.skills import SchemaAnswer, SkillSource
from porter.records.training import DataFacts, Platform, SearchRoute, StartPoint, TrainOptions, TrainPlan

ACTION = "train"

_PORT = "29500"
_ADDRESS = "{address of node 0}"
_CPU: tuple[Platform, ...] = ("virtualenv", "docker")
"""Platforms that run a job without a GPU: on this machine."""

_SEVERAL: tuple[Platform, ...] = ("kubernetes", "slurm")
"""Platforms that give a job several nodes."""


def plan(
    found: CatalogEntry,
    answer: SchemaAnswer,
    source: SkillSource,
    options: TrainOptions,
    facts: Mapping[Origin, DataFacts],
    present: Collection[str],
    profile: SmallProfile | None = None,
) -> TrainPlan:
    """Return everything that a training is.

    Args:
        found: the network.
        answer: the schema of the release.
        source: where that comes from.
        options: what was asked for, with the image to run in, and URIs as they are read.
        facts: what is known of each dataset that was given.
        present: names of the variables that the environment has.
        profile: the small one, where it is what *options* have.

    Raises:
        UsageError: options contradict each other or the network; :class:`SettingError` names the setting.
        DataError: the datasets do not fit each other.
    """
    fields = Fields(answer)
    given = typed.read(options.settings, found, fields)
    places = Places(options.platform)
    format_ = chosen_format(found, given.values)
    gpus, nodes = _machines(options, found, given.values)
    read = read_by(found, ACTION, format_)
    filled, said = fill(found, read, format_, facts, places)
    values = _values(found, format_, filled, places.results, gpus, nodes) | given.values
    _refuse_ids(found, values, gpus)
    _require(found, given.values, facts)
    counts = {asked.key: given.values[asked.key] for asked in found.inputs if asked.key in given.values}
    hold(found, counts, facts)
    made = schema.action_schema(answer, found, ACTION, source)
    known = _Settled(found, options, facts, fields, given.values, values, gpus, nodes)
    route = search(options, found, made, given.values, known.value, profile)
    start, start_note = _start(known, route.parameters)
    if start and (start.key not in given.values or start.source.startswith(REMOTE)):
        values[start.key] = places.checkpoint(start.source)
    uris = [one.uri for one in facts.values()]
    # A path that was set is the job's own, and no name of NGC's.
    uris += [start.source] if start and values[start.key] != start.source else []
    return TrainPlan(
        model=found.name,
        action=ACTION,
        platform=options.platform,
        format=format_,
        release=f"{source.repository} {source.version} {source.commit}",
        spec=_nested({key: one for key, one in values.items() if not fields.is_default(key, one)}),
        command=found.actions[ACTION].command,
        # A virtual environment is what runs there: no image is.
        image=options.image if options.platform != "virtualenv" else "",
        gpus=gpus,
        nodes=nodes,
        environment=_environment(gpus, nodes),
        mounts=tuple(places.mounts.values()),
        staged=tuple(places.staged.values()),
        credentials=credentials(options.platform, options.image, uris, present),
        search=route,
        start=start,
        inputs=counts,
        workspace=found.workspace,
        data={str(origin): one for origin, one in facts.items()},
        warnings=(*given.warnings, *said, *_warnings(known, filled, read)),
        notes=(
            *([start_note] if start_note else []),
            *_notes(known, route, made["automl_default_parameters"]),
            *notes.release_notes(source, options.image),
            *notes.platform_notes(options, places, bool(profile)),
        ),
    )


class _Settled(NamedTuple):
    """What is settled of a training: *given* are the values that a person set, *values* are all of them."""

    found: CatalogEntry
    options: TrainOptions
    facts: Mapping[Origin, DataFacts]
    fields: Fields
    given: Mapping[str, Any]
    values: Mapping[str, Any]
    gpus: int
    nodes: int

    def value(self, key: str) -> Any:
        """Return what a spec key has, or what the network takes without it."""
        return self.values[key] if key in self.values else self.fields.default(key)


def _warnings(known: _Settled, filled: Mapping[str, Any], read: Iterable[DataSource]) -> Iterator[str]:
    for key in filled:
        if key in known.given and known.given[key] != filled[key]:
            yield f"--set {key} takes the place of what the dataset gives"
    processes = max(known.gpus, 1) * known.nodes
    yield from notes.s3_warnings(known.values)
    yield from notes.unread_warnings(known.found, read, known.facts)
    yield from notes.same_set_warnings(known.facts)
    yield from notes.batch_warnings(known.found, known.facts, processes, known.value)
    yield from notes.hardware_warnings(known.found, known.gpus)


def _notes(known: _Settled, route: SearchRoute, searchable: Collection[str]) -> Iterator[str]:
    yield from notes.data_notes(known.found, known.facts)
    yield from notes.rate_notes(known.found, max(known.gpus, 1), known.value)
    yield from notes.launch_notes(known.found, known.gpus, known.nodes, known.value)
    yield from notes.search_notes(known.found, route, searchable, known.given)


def chosen_format(found: CatalogEntry, values: Mapping[str, Any]) -> str:
    """Return the data format that settings choose, or the network's first."""
    for format_ in found.formats:
        chooses = found.by_format.get(format_, {})
        if all(values.get(key, value) == value for key, value in chooses.items()):
            return format_
    return found.formats[0]


def with_profile(found: CatalogEntry, options: TrainOptions) -> tuple[TrainOptions, SmallProfile | None]:
    """Return the options with data: those that were given, or the small profile where it is asked for.

    Raises:
        UsageError: there is no data, or the profile would be mixed with what a person set.
    """
    if options.train:
        return options, None
    profile = found.profile
    names = {text.partition("=")[0] for text in options.settings}
    keys = {found.shorthands.get(name, name) for name in names}
    counted = keys & {asked.key for asked in found.inputs if asked.at_least}
    if profile is None or options.automl != "on" or options.eval or counted:
        small = "; --automl on without data and class count takes a small one of NVIDIA's"
        raise UsageError(
            "No training data was given.",
            why="a class count alone is no dataset" if counted else "",
            next_step=f"--train-data URI{small if profile else ''}",
        )
    if options.settings or options.base or (options.gpus or 1) > 1 or options.nodes > 1:
        raise UsageError(
            f"The small profile of {found.name} is taken whole, or not at all.",
            why="its data, class count and settings belong together, and are not mixed with others",
            next_step="leave out --set, --base-checkpoint, --gpus and --nodes, or give --train-data URI",
        )
    settings = tuple(f"{key}={value}" for key, value in profile.settings.items())
    changed = {"train": profile.train, "eval": profile.eval, "settings": settings}
    return msgspec.structs.replace(options, **changed), profile


def _values(
    found: CatalogEntry, format_: str, filled: Mapping[str, Any], results: str, gpus: int, nodes: int
) -> dict[str, Any]:
    """Return by spec key what format, data and machines say, before what a person sets."""
    rules = found.actions[ACTION].rules
    return {
        **found.by_format.get(format_, {}),
        **filled,
        **{key: results for key, rule in rules.items() if rule == "output_dir"},
        # Without a GPU there is one process all the same.
        found.launch.gpus: max(gpus, 1),
        found.launch.gpu_ids: list(range(max(gpus, 1))),
        found.launch.nodes: nodes,
    }


def _machines(options: TrainOptions, found: CatalogEntry, values: Mapping[str, Any]) -> tuple[int, int]:
    """Return the GPUs of every node, and the nodes."""
    gpus = _gpus(options, found, values)
    nodes = _count(options.nodes, "--nodes", found.launch.nodes, values)
    if nodes > 1 and options.platform not in _SEVERAL:
        raise UsageError(
            f"--platform {options.platform} gives a job one node.",
            why=f"--nodes {nodes} was asked for",
            next_step=f"--platform {' or '.join(_SEVERAL)}",
        )
    return gpus, nodes


def _refuse_ids(found: CatalogEntry, values: Mapping[str, Any], gpus: int) -> None:
    ids = values[found.launch.gpu_ids]
    if len(ids) != max(gpus, 1):
        raise UsageError(
            f"{found.launch.gpu_ids}={ids} and {gpus} GPUs do not go together.",
            next_step="name as many ids as --gpus says",
        )


def _gpus(options: TrainOptions, found: CatalogEntry, values: Mapping[str, Any]) -> int:
    if options.gpus != 0:
        return _count(options.gpus or 0, "--gpus", found.launch.gpus, values)
    if options.platform not in _CPU:
        raise UsageError(
            f"--platform {options.platform} gives every job a GPU.",
            why="--gpus 0 was asked for",
            next_step=f"--platform {' or '.join(_CPU)}",
        )
    return 0


def _count(asked: int, option: str, key: str, values: Mapping[str, Any]) -> int:
    if asked and values.get(key, asked) != asked:
        raise UsageError(
            f"{option} {asked} and --set {key}={values[key]} contradict each other.",
            next_step="leave out one of them",
        )
    return asked or int(values.get(key, 1))


def _environment(gpus: int, nodes: int) -> tuple[dict[str, str], ...]:
    """Return the variables of each node; what TAO's launcher calls the world's size counts nodes."""
    if nodes == 1:
        return ()
    return tuple(
        {
            "WORLD_SIZE": str(nodes),
            "NODE_RANK": str(rank),
            "MASTER_ADDR": _ADDRESS,
            "MASTER_PORT": _PORT,
            "NUM_GPU_PER_NODE": str(gpus),
        }
        for rank in range(nodes)
    )


def _start(known: _Settled, varied: Collection[str]) -> tuple[StartPoint | None, str]:
    """Return the checkpoint to start from, and what to say of it.

    Args:
        known: of the training.
        varied: spec keys that a search varies: a checkpoint that goes with one value of such fits few trials.
    """
    found, options, values = known.found, known.options, known.given
    broken = {refused.key for refused in found.refused if not refused.values}
    usable = [base for base in found.base if base.key not in broken]
    if options.base:
        if not usable:
            raise UsageError(
                f"{found.name} takes no base checkpoint.", next_step="leave out --base-checkpoint"
            )
        chosen = _key_of(options.base, usable)
        if values.get(chosen.key):
            raise UsageError(
                f"--base-checkpoint and --set {chosen.key} name two checkpoints.",
                next_step="leave out one of them",
            )
        return _started(chosen, options.base, usable)
    for base in usable:
        if values.get(base.key):
            started = StartPoint(key=base.key, part=base.part, source=values[base.key])
            if started.source.startswith(REMOTE):
                return started, f"{base.key} gets what is staged of {started.source}"
            return started, f"{base.key} is taken as it was typed: the job has to find it there"
    resumes = [key for key, rule in found.actions[ACTION].rules.items() if rule == "resume_model"]
    if any(values.get(key) for key in resumes):
        return None, "a training that goes on from its own checkpoint takes no other one"
    for base in usable:
        # One that a person has set to nothing is to start from scratch.
        if base.key in values:
            continue
        if set(base.when) & set(varied):
            continue
        if base.default and all(known.value(key) == wanted for key, wanted in base.when.items()):
            return _started(base, base.default, usable)
    names = [name for base in usable for name in base.known]
    others = f"; NGC has {', '.join(names)}" if names else ""
    return None, f"training starts from scratch: no default checkpoint fits{others}"


def _key_of(uri: str, usable: list[BaseCheckpoint]) -> BaseCheckpoint:
    for base in usable:
        if uri in (base.default, *base.known):
            return base
    # A file does not say which it is; one of the whole model brings its backbone along.
    return next((base for base in usable if base.part == "model"), usable[0])


def _started(chosen: BaseCheckpoint, uri: str, usable: list[BaseCheckpoint]) -> tuple[StartPoint, str]:
    note = (
        f"{chosen.key} gets {uri}: weights of the {'whole model' if chosen.part == 'model' else 'backbone'}"
    )
    if chosen.note:
        note += f" ({chosen.note})"
    others = [base for base in usable if base.key != chosen.key]
    note += "".join(f"; --set {base.key}=PATH starts from a {base.part} instead" for base in others)
    if not uri.startswith(("/", "s3://")):
        note += "; the name of the file is known once NGC has sent it"
    return StartPoint(key=chosen.key, part=chosen.part, source=uri), note


def _require(found: CatalogEntry, values: Mapping[str, Any], facts: Mapping[Origin, DataFacts]) -> None:
    for asked in found.inputs:
        if asked.actions and ACTION not in asked.actions:
            continue
        if asked.key not in values:
            least, _ = notes.least(asked, facts)
            raise UsageError(
                f"{found.title} needs {asked.key}: {asked.title}.",
                why=asked.reason,
                next_step=f"--set {asked.key}={'...' if least is None else least}",
            )


def hold(found: CatalogEntry, values: Mapping[str, Any], facts: Mapping[Origin, DataFacts]) -> None:
    """Hold what was set against the data, and the datasets against each other.

    Args:
        found: the network.
        values: by spec key: of the required inputs.
        facts: what is known of each dataset.

    Raises:
        SettingError: a value is too low for the data.
        DataError: the datasets do not fit each other.
    """
    for asked in found.inputs:
        value = values.get(asked.key)
        least, why = notes.least(asked, facts)
        if least is not None and isinstance(value, int) and value < least:
            raise SettingError(
                asked.key,
                f"{asked.key}={value} is too low.",
                why=f"{why}; {asked.reason}",
                next_step=f"--set {asked.key}={least}",
            )
    _compare_classes(facts)


def _compare_classes(facts: Mapping[Origin, DataFacts]) -> None:
    train, other = facts.get("train"), facts.get("eval")
    if train is None or other is None or not train.classes:
        return
    strange = sorted(set(other.classes) - set(train.classes))
    if strange:
        raise DataError(
            f"{len(strange)} classes of {other.uri} are not in {train.uri}.",
            why=f"such as {', '.join(strange[:3])}",
            next_step="take them away, or add them to the training set",
        )


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        place = spec
        for name in sections:
            place = place.setdefault(name, {})
        place[last] = value
    return spec
