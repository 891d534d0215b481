# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

from nvidia_tao_pytorch.core.decorators.workflow import monitor_status

__all__ = ["monitor_status"]
