# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""From a PIL image to a tensor.

The draws from ``random`` and torch come in the toolkit's order, so that a seed gives the same images.
"""

import random

import torchvision.transforms.functional as TF
from PIL import Image, ImageFilter
from timm.data.random_erasing import RandomErasing
from torchvision import transforms

from nvidia_tao_pytorch.cv.classification_pyt.dataloader.rand_aug import RandAug


def _enabled(section):
    return section is not None and section.enable


def _scale_and_crop(image, scale_range, size):
    """Rescale by a random factor, then take a random square; what lies outside is black."""
    scale = scale_range[0] + random.random() * (scale_range[1] - scale_range[0])
    image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
    spaces = [side - size for side in reversed(image.size)]
    left, top = (random.randrange(abs(space) + 1) * (1 if space > 0 else -1) for space in spaces)
    return image.crop((left, top, left + size, top + size))


class CLDataAugmentation:
    """Resizes to a square and normalises; what else is given happens in between."""

    def __init__(
        self,
        img_size,
        random_flip=None,
        random_rotate=None,
        random_color=None,
        random_erase=None,
        random_aug=None,
        with_scale_random_crop=None,
        with_random_crop=False,
        with_random_blur=False,
        mean=[0.5, 0.5, 0.5],
        std=[0.5, 0.5, 0.5],
    ):
        self.img_size = img_size
        self.img_size_dynamic = img_size is None
        self.random_flip = random_flip
        self.random_rotate = random_rotate
        self.random_color = random_color
        self.random_erase = random_erase
        self.random_aug = random_aug
        self.with_scale_random_crop = with_scale_random_crop
        self.with_random_crop = with_random_crop
        self.with_random_blur = with_random_blur
        self.mean = mean
        self.std = std
        if with_random_crop:
            self.randomcrop = transforms.RandomResizedCrop(size=img_size, scale=(0.08, 1.0))
        if _enabled(random_color):
            strengths = ("brightness", "contrast", "saturation", "hue")
            self.colorjitter = transforms.ColorJitter(**{name: random_color[name] for name in strengths})
        if _enabled(random_erase):
            self.randomerase = RandomErasing(probability=random_erase.erase_probability, device="cpu")
        if _enabled(random_aug):
            self.randomaug = RandAug({}, mean=mean)

    def transform(self, imgs, to_tensor=True):
        """Return the images changed, as tensors (3, H, W) unless *to_tensor* is off."""
        if self.img_size_dynamic:
            self.img_size = imgs[0].size[0]
        return [self.__transform(img, to_tensor) for img in imgs]

    def __transform(self, img, to_tensor):
        size = self.img_size
        if not self.img_size_dynamic and img.size != (size, size):
            img = TF.resize(img, [size, size], interpolation=transforms.InterpolationMode.BILINEAR)
        if _enabled(self.random_flip):
            if random.random() > 1 - self.random_flip.hflip_probability:
                img = TF.hflip(img)
            if random.random() > 1 - self.random_flip.vflip_probability:
                img = TF.vflip(img)
        if _enabled(self.random_aug):
            img = self.randomaug.aug_image(img)
        if _enabled(self.random_rotate) and random.random() > 1 - self.random_rotate.rotate_probability:
            img = TF.rotate(img, self.random_rotate.angle_list[random.randint(0, 2)])
        if self.with_random_crop:
            img = self.randomcrop(img)
        if _enabled(self.with_scale_random_crop):
            img = _scale_and_crop(img, self.with_scale_random_crop.scale_range, size)
        if self.with_random_blur:
            img = img.filter(ImageFilter.GaussianBlur(radius=random.random()))
        if _enabled(self.random_color):
            img = self.colorjitter(img)
        if to_tensor:
            img = TF.normalize(TF.to_tensor(img), mean=self.mean, std=self.std)
        return self.randomerase(img) if _enabled(self.random_erase) else img
