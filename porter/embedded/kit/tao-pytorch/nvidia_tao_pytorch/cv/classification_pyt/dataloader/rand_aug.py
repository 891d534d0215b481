# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""RandAugment."""

from PIL import Image
from timm.data.auto_augment import rand_augment_transform


class RandAug:
    def __init__(self, config, mean, key="img"):
        self.key = key
        settings = {"n": 2, "m": 5, "mstd": 1.0, "inc": 1, "tpct": 0.45, **config}
        name = "rand-n{n}-m{m}-mstd{mstd}-inc{inc}".format(**settings)
        fill = tuple(min(255, round(255 * channel)) for channel in mean)
        params = {"translate_pct": settings["tpct"], "img_mean": fill, "interpolation": Image.BICUBIC}
        self.aug_op = rand_augment_transform(name, params)

    def aug_image(self, image):
        return self.aug_op(image)
