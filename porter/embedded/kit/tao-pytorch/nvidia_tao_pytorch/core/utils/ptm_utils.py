# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Pretrained weights: reading them and fitting their names."""

import os

import torch
from safetensors.torch import load_file


class StateDictAdapter:
    """Knows, by the tag in a checkpoint, which prefix its keys carry."""

    def __init__(self):
        self.supported = {}

    def add(self, model_name, prefix, model_type=None):
        tag = (str(model_name), None if model_type is None else str(model_type))
        if tag in self.supported:
            raise ValueError(f"{tag} is already supported")
        self.supported[tag] = prefix

    def get(self, model_name, model_type=None):
        tag = (model_name, model_type)
        if tag not in self.supported:
            raise ValueError(f"{tag} is not supported")
        return self.supported[tag]

    def __call__(self, model_name, state_dict, model_type=None):
        """Return the tensors with the prefix off those keys that carry it."""
        prefix = self.get(model_name, model_type=model_type)
        return {key.removeprefix(prefix): tensor for key, tensor in state_dict.items()}


def load_pretrained_weights(
    path_or_checkpoint,
    map_location="cpu",
    weights_only=False,
    ptm_adapter=None,
    parser=None,
    **kwargs,
):
    """Return the tensors of a file or checkpoint.

    A checkpoint with a ``tao_model`` tag goes through *ptm_adapter*, any other through *parser*.
    """
    checkpoint = path_or_checkpoint
    if isinstance(checkpoint, (str, os.PathLike)) and str(checkpoint).endswith(".safetensors"):
        checkpoint = load_file(checkpoint, device=map_location)
    elif not isinstance(checkpoint, dict):
        checkpoint = torch.load(checkpoint, map_location=map_location, weights_only=weights_only, **kwargs)
    if "state_dict_encrypted" in checkpoint:
        raise PermissionError("The kit does not read encrypted checkpoints.")
    tag = checkpoint.get("tao_model")
    if tag is not None:
        return ptm_adapter(tag, checkpoint["state_dict"], model_type=checkpoint.get("tao_model_type"))
    state_dict = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    return parser(state_dict) if parser is not None else state_dict
