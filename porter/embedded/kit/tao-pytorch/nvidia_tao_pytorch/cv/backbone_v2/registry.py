# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The backbones, by name; a registered function returns a BackboneBase."""

from fvcore.common.registry import Registry

BACKBONE_REGISTRY = Registry("BACKBONE")
