# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Questions about the process group; without one there is a single process."""

import torch.distributed as dist


def is_dist_avail_and_initialized():
    return dist.is_available() and dist.is_initialized()


def get_world_size(group=None):
    return dist.get_world_size(group) if is_dist_avail_and_initialized() else 1


def get_global_rank(group=None):
    return dist.get_rank(group) if is_dist_avail_and_initialized() else 0
