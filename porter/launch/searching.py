"""Whether a training is a search, and what is searched: for which metric, by what, and in which ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, get_args

import yaml

from porter.errors import UsageError
from porter.launch.schema import leaf
from porter.records.catalog import CatalogEntry, Direction, SmallProfile
from porter.records.training import SearchOptions, SearchRoute, TrainOptions

ALGORITHMS = ("bayesian", "bfbo", "hyperband", "bohb", "asha", "pbt", "dehb", "hyperband_es")
"""Of NVIDIA's search, the first by default; those that ask a language model are none of porter's."""

COUNTED = ("bayesian", "bfbo")
"""Algorithms that end after a number of trials; the others know by themselves how many they need."""

_TRIALS = 20


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
    for pair in pairs:
        typed, equals, text = pair.partition("=")
        key = found.shorthands.get(typed, typed)
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
        yield key, _range(typed, text, described) if equals else {}


def _range(key: str, text: str, described: Mapping[str, Any]) -> dict[str, Any]:
    least, dots, most = text.partition("..")
    if not dots:
        options = [yaml.safe_load(one) for one in text.split(",")]
        known = described.get("enum")
        strange = [one for one in options if isinstance(known, list) and one not in known]
        if strange:
            raise UsageError(
                f"--vary {key}: it does not take {', '.join(map(str, strange))}.",
                why=f"it takes {', '.join(map(str, known or []))}",
            )
        return {"enum": options}
    try:
        low, high = float(least), float(most)
    except ValueError:
        low, high = math.nan, math.nan
    # Also what is no number is none of these.
    if not low < high or math.isinf(low) or math.isinf(high):
        raise UsageError(f"--vary {key}={text}: expected LEAST..MOST, such as 1e-5..1e-3.")
    for bound, beyond in (("minimum", low), ("maximum", high)):
        limit = described.get(bound)
        if isinstance(limit, int | float) and (beyond < limit if bound == "minimum" else beyond > limit):
            raise UsageError(f"--vary {key}={text}: the release's {bound} is {limit:g}.")
    whole = described.get("type") == "int"
    return {"minimum": int(low) if whole else low, "maximum": int(high) if whole else high}
