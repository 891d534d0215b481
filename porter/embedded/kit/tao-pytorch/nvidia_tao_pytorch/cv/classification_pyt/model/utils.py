# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Names in checkpoints."""

from nvidia_tao_pytorch.core.utils.ptm_utils import StateDictAdapter

ptm_adapter = StateDictAdapter()
ptm_adapter.add("classification", "model.")

# The first that fits is taken off; longer ones come before those that they begin with.
_PREFIXES = (
    "backbone.",
    "model.model.backbone.",
    "model.backbone.",
    "model.encoder.",
    "model.decoder.",
    "model.",
)


def cls_parser(original):
    """Return the tensors of a public checkpoint under a backbone's names."""
    state_dict = {}
    for key, value in original.items():
        if "module" in key:
            key = key.partition(".")[2]
        elif key.startswith("ema_"):
            continue
        else:
            key = key.removeprefix(next(filter(key.startswith, _PREFIXES), ""))
        state_dict[key] = value
    return state_dict
