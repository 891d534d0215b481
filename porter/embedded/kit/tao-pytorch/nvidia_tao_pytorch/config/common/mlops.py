# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Settings of experiment trackers."""

from dataclasses import dataclass
from typing import List, Optional

from nvidia_tao_pytorch.config.utils.types import BOOL_FIELD, LIST_FIELD, STR_FIELD


@dataclass
class WandBConfig:
    """Weights & Biases; takes effect only where a login is present."""

    enable: bool = BOOL_FIELD(True)
    project: str = STR_FIELD("TAO Toolkit")
    entity: Optional[str] = STR_FIELD("")
    group: Optional[str] = STR_FIELD("")
    tags: List[str] = LIST_FIELD(["tao-toolkit"])
    reinit: bool = BOOL_FIELD(False)
    sync_tensorboard: bool = BOOL_FIELD(False)
    save_code: bool = BOOL_FIELD(False)
    name: str = STR_FIELD("TAO Toolkit Training")
    run_id: str = STR_FIELD("")
