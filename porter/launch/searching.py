"""Whether a training is a search, and what is searched: for which metric, by what, and in which ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, get_args

from porter.errors import SettingError, UsageError
from porter.launch.schema import leaf
from porter.launch.settings import value_of
from porter.records.catalog import CatalogEntry, Direction, SmallProfile
from porter.records.training import SearchOptions, SearchRoute, TrainOptions

ALGORITHMS = ("bayesian", "bfbo", "hyperband", "bohb", "asha", "pbt", "dehb", "hyperband_es")
"""Of NVIDIA's search, the first by default; those that ask a language model are none of porter's."""

COUNTED = ("bayesian", "bfbo")
"""Algorithms that end after a number of trials; the others know by themselves how many they need."""

_TRIALS = 20

_NUMBERS = ("int", "float")
_ONE = (*_NUMBERS, "ordered_int", "bool", "string", "categorical", "ordered")
_SEVERAL = ("list_1_backbone", "list_1_normal", "list_2", "list_3", "subset_list", "optional_list")
"""Types of the schema that the search varies: those with one value, and lists."""


def search(
    options: TrainOptions,
    found: CatalogEntry,
    schema: Mapping[str, Any],
    settled: Collection[str],
    value: Callable[[str], Any],
    profile: SmallProfile | None,
) -> SearchRoute:
    """Return whether a training is a search, and which.

    Args:
        options: what was asked for.
        found: the network.
        schema: of the action; says which fields a search varies.
        settled: spec keys that a person set: those are not varied.
        value: gives what a spec key has.
        profile: the small one, where it is taken.

    Raises:
        UsageError: a search was asked for that cannot be, or its options name what there is not.
    """
    asked, choice = options.search, options.automl
    if choice == "off":
        if asked != SearchOptions():
            raise UsageError(
                "--automl off and options of a search contradict each other.",
                next_step="leave out --automl off, or --algorithm, --trials, --metric and --vary",
            )
        return SearchRoute(on=False, reason="turned off")
    marked = schema["automl_default_parameters"]
    ranges = dict(_ranges(asked.vary, found, schema, settled))
    parameters = tuple(sorted(ranges or set(marked) - set(settled)))
    against = _against(found, marked, parameters, value)
    # Who names an algorithm or a range wants a search.
    if against and (choice == "on" or asked != SearchOptions()):
        raise UsageError(
            f"AutoML cannot run on {found.name} like this.", why=against, next_step="--automl off trains once"
        )
    if against:
        return SearchRoute(on=False, reason=against)
    metric, direction = _metric(asked.metric, found)
    algorithm = _algorithm(asked)
    return SearchRoute(
        on=True,
        reason="asked for" if choice == "on" else f"on by default for {found.name}; --automl off trains once",
        algorithm=algorithm,
        metric=metric,
        direction=direction,
        parameters=parameters,
        ranges={key: range_ for key, range_ in ranges.items() if range_},
        recommendations=_trials(asked, algorithm, profile),
    )


def _against(
    found: CatalogEntry, marked: Collection[str], parameters: Collection[str], value: Callable[[str], Any]
) -> str:
    if not found.automl.enabled:
        return "the catalog does not enable it for this network"
    for refused in found.automl.refused:
        if value(refused.key) in refused.values:
            return f"{refused.key}={str(value(refused.key)).lower()}: {refused.reason}"
    if parameters:
        return ""
    if not marked:
        return "enabled but not runnable: the schema of this release marks no field for a search"
    return f"every field that it would vary is set: {', '.join(sorted(marked))}"


def _algorithm(asked: SearchOptions) -> str:
    if asked.algorithm and asked.algorithm not in ALGORITHMS:
        raise UsageError(
            f"--algorithm {asked.algorithm} is none that porter runs.",
            why=f"it runs {', '.join(ALGORITHMS)}",
            next_step=f"--algorithm {ALGORITHMS[0]}",
        )
    return asked.algorithm or ALGORITHMS[0]


def _trials(asked: SearchOptions, algorithm: str, profile: SmallProfile | None) -> int:
    if algorithm in COUNTED:
        return asked.trials or (profile.recommendations if profile else _TRIALS)
    if asked.trials:
        raise UsageError(
            f"--trials {asked.trials}: {algorithm} knows by itself how many trials it needs.",
            next_step=f"leave it out, or --algorithm {' or '.join(COUNTED)}",
        )
    return 0


def _metric(asked: str, found: CatalogEntry) -> tuple[str, Direction]:
    metric = found.metric
    key, colon, direction = asked.partition(":")
    if not key:
        return metric.key, metric.direction
    if key in metric.refused:
        raise UsageError(
            f"--metric {key}: {metric.refused[key]}.", next_step=f"--metric {metric.key} or leave it out"
        )
    for known in get_args(Direction):
        if direction == known or (not colon and key == metric.key and known == metric.direction):
            return key, known
    raise UsageError(
        f"--metric {asked} does not say what is better.",
        why="a higher value or a lower one: porter does not guess it from the name",
        next_step=f"--metric {key}:maximize or --metric {key}:minimize",
    )


def _ranges(
    pairs: Collection[str], found: CatalogEntry, schema: Mapping[str, Any], settled: Collection[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the spec keys that are to be varied, each with what is other than in the schema."""
    own, seen = _own(found), set()
    for pair in pairs:
        typed, equals, text = pair.partition("=")
        key = found.shorthands.get(typed, typed)
        if key in seen:
            raise UsageError(f"--vary names {key} twice.", next_step="leave out one of them")
        seen.add(key)
        described = leaf(schema["properties"], key)
        if described is None or described.get("properties"):
            raise UsageError(
                f"--vary {typed}: the spec of {found.name} has no such field.",
                next_step=f"--vary {(schema['automl_default_parameters'] or ['KEY'])[0]}",
            )
        if key in settled:
            raise UsageError(
                f"--vary {typed} and --set {key} contradict each other.", next_step="leave out one of them"
            )
        if key in schema["automl_disabled_parameters"]:
            raise UsageError(
                f"--vary {typed}: the release does not let a search vary {key}.",
                next_step="leave it out",
            )
        if key in own:
            raise UsageError(
                f"--vary {typed}: {key} is no matter of a search.",
                why="porter sets it, from the data, the machines and the jobs around",
                next_step="leave it out",
            )
        kind = str(described.get("type", ""))
        if kind not in (*_ONE, *_SEVERAL):
            raise UsageError(
                f"--vary {typed}: a search cannot vary {key}.",
                why=f"it has the type {kind}",
                next_step=f"leave it out, or --set {key}=...",
            )
        if equals and kind in _SEVERAL:
            raise UsageError(
                f"--vary {pair}: {key} is a list, whose values the search finds by itself.",
                next_step=f"--vary {typed}",
            )
        yield key, _range(typed, text, described) if equals else {}


def _own(found: CatalogEntry) -> set[str]:
    """Return the spec keys that porter sets, whatever is searched."""
    launch = found.launch
    return {
        *(launch.gpus, launch.gpu_ids, launch.nodes),
        *(source.key for source in found.data),
        *(base.key for base in found.base),
        *found.actions["train"].rules,
    }


def _options(key: str, text: str, described: Mapping[str, Any], found: list[Any] | None) -> list[Any]:
    if found is None:
        try:
            return [value_of(key, one, described) for one in text.split(",")]
        except SettingError as error:
            raise UsageError(
                f"--vary {error}".partition("\n")[0], why=error.why, next_step=f"--vary {key}=A,B"
            ) from error
    named = {str(one): one for one in found}
    strange = [one for one in text.split(",") if one not in named]
    if strange:
        raise UsageError(
            f"--vary {key}: it does not take {', '.join(strange)}.",
            why=f"it takes {', '.join(named)}",
            next_step=f"--vary {key}={','.join([*named][:2])}",
        )
    return [named[one] for one in text.split(",")]


def _range(key: str, text: str, described: Mapping[str, Any]) -> dict[str, Any]:
    least, dots, most = text.partition("..")
    known = described.get("enum")
    listed = known if isinstance(known, list) else None
    if not dots:
        return {"enum": _options(key, text, described, listed)}
    if listed is not None or described.get("type") not in _NUMBERS:
        takes = f"it takes {', '.join(map(str, listed))}" if listed is not None else ""
        raise UsageError(f"--vary {key}={text}: it has no range.", why=takes, next_step=f"--vary {key}=A,B")
    try:
        low, high = float(least), float(most)
    except ValueError:
        low, high = math.nan, math.nan
    # Also what is no number is none of these.
    if not low < high or math.isinf(low) or math.isinf(high):
        raise UsageError(
            f"--vary {key}={text}: that is no range.",
            why="it has two numbers, the lower one first",
            next_step=f"--vary {key}=LEAST..MOST, such as 1e-5..1e-3",
        )
    for bound, beyond in (("minimum", low), ("maximum", high)):
        limit = described.get(bound)
        if isinstance(limit, int | float) and (beyond < limit if bound == "minimum" else beyond > limit):
            raise UsageError(
                f"--vary {key}={text}: the release's {bound} is {limit:g}.",
                next_step=f"--vary {key}=LEAST..MOST within that",
            )
    if described.get("type") != "int":
        return {"minimum": low, "maximum": high}
    if low != int(low) or high != int(high):
        raise UsageError(
            f"--vary {key}={text}: it takes whole numbers.", next_step=f"--vary {key}={int(low)}..{int(high)}"
        )
    return {"minimum": int(low), "maximum": int(high)}
