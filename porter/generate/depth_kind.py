"""What the numbers of a depth model mean, by what transformers 4.57.6 makes them of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from porter.errors import ModelRejectedError
from porter.records.base import Record
from porter.records.inspection import Inspection


class DepthKind(Record, frozen=True, kw_only=True):
    """What the numbers of a depth model mean, in the words of TAO's experiment spec."""

    model_type: Literal["RelativeDepthAnything", "MetricDepthAnything"]
    dataset_name: Literal["RelativeMonoDataset", "MetricMonoDataset"]


RELATIVE = DepthKind(model_type="RelativeDepthAnything", dataset_name="RelativeMonoDataset")
METRIC = DepthKind(model_type="MetricDepthAnything", dataset_name="MetricMonoDataset")

_GLPN_DEFAULT = 10.0
_ZOE_DEFAULT: tuple[Mapping[str, Any], ...] = ({"n_bins": 64, "min_depth": 0.001, "max_depth": 10.0},)


def kind_of(inspection: Inspection) -> DepthKind:
    """Return what the numbers of a model mean.

    Raises:
        ModelRejectedError: porter does not know what those of its type mean.
    """
    return RELATIVE if _range_of(inspection) is None else METRIC


def farthest(inspection: Inspection) -> float:
    """Return the depth, in metres, that a metric model gives at most; 1 for a relative one."""
    return _range_of(inspection) or 1.0


def _range_of(inspection: Inspection) -> float | None:
    """Return the greatest depth of a metric model, in metres; None for inverse depth without a unit."""
    ranges = _RANGES.get(inspection.model_type)
    if ranges is None:
        raise ModelRejectedError(
            f"porter does not know what the numbers of {inspection.source.ref} mean.",
            why=f"it has facts on {', '.join(sorted(_RANGES))}, and none on {inspection.model_type}",
            next_step="choose a model of one of those types",
        )
    return ranges(inspection.config)


def _as_stated(config: Mapping[str, Any]) -> float | None:
    """Of a head with two forms: a sigmoid times ``max_depth``, or a ReLU that nothing scales."""
    return float(config.get("max_depth") or 1) if config.get("depth_estimation_type") == "metric" else None


def _inverse(config: Mapping[str, Any]) -> float | None:
    """Of a head that ends with a ReLU: MiDaS' inverse depth, without scale and offset."""
    return None


def _sigmoid(config: Mapping[str, Any]) -> float | None:
    """Of a head that is a sigmoid times ``max_depth``, whatever the config says of its kind."""
    return float(config.get("max_depth") or _GLPN_DEFAULT)


def _bins(config: Mapping[str, Any]) -> float | None:
    """Of a head that weighs the centres of bins, which lie in a range of metres."""
    return max(float(each["max_depth"]) for each in config.get("bin_configurations") or _ZOE_DEFAULT)


_RANGES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "depth_anything": _as_stated,
    "dpt": _inverse,
    "glpn": _sigmoid,
    "prompt_depth_anything": _as_stated,
    "zoedepth": _bins,
}
"""By model type, the greatest depth that a config lets the network give, in metres; None for inverse depth."""
