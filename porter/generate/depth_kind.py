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
    """Return the greatest depth of a metric model, in metres; None for depth without a unit."""
    ranges = _RANGES.get(inspection.model_type)
    if ranges is None:
        raise ModelRejectedError(
            f"porter does not know what the numbers of {inspection.source.ref} mean.",
            why=f"it has facts on {', '.join(sorted(_RANGES))}, and none on {inspection.model_type}",
            next_step="choose a model of one of those types",
        )
    return ranges(inspection)


def _as_stated(found: Inspection) -> float | None:
    """Of a head with two forms: a sigmoid times ``max_depth``, or a ReLU that nothing scales."""
    is_metric = found.config.get("depth_estimation_type") == "metric"
    return float(found.config.get("max_depth") or 1) if is_metric else None


def _relative(found: Inspection) -> float | None:
    """Of a head that ends with a ReLU; and of one that scales its numbers by a depth that is not there."""
    return None


def _sigmoid(found: Inspection) -> float | None:
    """Of a head that is a sigmoid times ``max_depth``, whatever the config says of its kind."""
    return float(found.config.get("max_depth") or _GLPN_DEFAULT)


def _bins(found: Inspection) -> float | None:
    """Of a head that weighs the centres of bins, which lie in a range of metres."""
    ranges = found.config.get("bin_configurations") or _ZOE_DEFAULT
    if len(ranges) > 1:
        names = ", ".join(str(each.get("name", number)) for number, each in enumerate(ranges))
        raise ModelRejectedError(
            f"{found.source.ref} has {len(ranges)} heads, of which it chooses one for a whole batch.",
            why=f"bin_configurations ({names}): an exported graph has one and the same head for every image",
            next_step="choose a ZoeDepth model that was trained for one kind of images",
        )
    return float(ranges[0]["max_depth"])


def _inverted(found: Inspection) -> float | None:
    """Of a model whose image processor inverts what the network gives, clipped to this range."""
    return 10_000.0


_RANGES: Mapping[str, Callable[[Inspection], float | None]] = {
    "depth_anything": _as_stated,
    "depth_pro": _inverted,
    "dpt": _relative,
    "glpn": _sigmoid,
    "prompt_depth_anything": _relative,
    "zoedepth": _bins,
}
"""By model type, the greatest depth that the network gives, in metres; None for depth without a unit."""

INVERTED = frozenset({"depth_pro"})
"""Model types whose networks give 1 / metres."""


def quantity_of(inspection: Inspection) -> str:
    """Return what the depth maps of a model hold, and its ground truth has to hold, in words."""
    if kind_of(inspection) == METRIC:
        return "depth in metres"
    # A share of the range that a prompt has: 0 at its nearest point, 1 at its farthest.
    is_share = inspection.model_type == "prompt_depth_anything"
    return "depth without scale and offset" if is_share else "inverse depth"
