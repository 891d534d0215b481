"""Sizes that a config states, held against the tensors that are there, before anything is built of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from porter.errors import ModelRejectedError
from porter.hub import files
from porter.processors import LARGEST_EDGE
from porter.records.inspection import TensorInfo

_IMAGES = frozenset({"image_size", "input_size", "img_size", "crop_size"})
_COUNTS = (
    "depth",
    "num_hidden_layers",
    "num_layers",
    "n_layers",
    "num_stages",
    "encoder_layers",
    "decoder_layers",
)
_WIDTHS = (
    "hidden_size",
    "hidden_sizes",
    "hidden_dim",
    "embed_dim",
    "embed_dims",
    "d_model",
    "intermediate_size",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "embedding_size",
    "decoder_hidden_size",
    "num_attention_heads",
    "num_classes",
    "num_features",
    "num_labels",
    "vocab_size",
    "num_queries",
    "depths",
)
_DEPTH = 8


def check(ref: str, config: Mapping[str, Any], tensors: Sequence[TensorInfo]) -> None:
    """Refuse a config whose sizes its own weights cannot fill.

    A width is a dimension of some tensor, and every layer has a tensor of its own; so neither can be larger
    than all the numbers, or more than all the tensors, that the headers tell of.

    Args:
        ref: the model, for the error.
        config: as config.json has it, nested parts included.
        tensors: the table of the headers; empty where the weights are pickles.

    Raises:
        ModelRejectedError: names the key, its value and the fact against it.
    """
    numbers = sum(math.prod(tensor.shape) for tensor in tensors)
    for key, value in _sizes(config, _DEPTH):
        name = key.rpartition(".")[2]
        against = ""
        if name in _IMAGES and value > LARGEST_EDGE:
            against = f"no image has an edge of more than {LARGEST_EDGE} pixels"
        elif tensors and name in _COUNTS and value > len(tensors):
            against = f"its weights are {len(tensors)} tensors, fewer than one for each"
        elif name in _WIDTHS and value > (numbers or 2**31):
            against = (
                f"its weights hold {numbers} numbers altogether" if numbers else "no model is that large"
            )
        if against:
            raise ModelRejectedError(
                f"{files.CONFIG} of {ref} and its weights do not belong together.",
                why=f"{key} is {value}; {against}",
                next_step="choose another model, or another revision of it",
            )


def _sizes(value: Any, depth: int, path: str = "") -> Iterator[tuple[str, int]]:
    if depth < 0:
        return
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _sizes(inner, depth - 1, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value[:64]:
            yield from _sizes(inner, depth - 1, path)
