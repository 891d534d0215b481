# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Paths."""

import os


def expand_path(path):
    """Return *path* as an absolute path with the home folder filled in."""
    return os.path.abspath(os.path.expanduser(path))
