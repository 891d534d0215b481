# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

from nvidia_tao_pytorch.config.common.quantization.default_config import ModelQuantizationConfig

__all__ = ["ModelQuantizationConfig"]
