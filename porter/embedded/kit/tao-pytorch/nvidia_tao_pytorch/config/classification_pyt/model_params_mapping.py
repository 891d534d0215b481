# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Head sizes by backbone; a backbone that is not listed brings its own head."""

map_params = {"head": {"in_channels": {}}}
map_input_lr_head = {}
