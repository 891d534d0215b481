# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Images in class folders."""

import glob
import os

import torch
from PIL import Image, ImageFile
from torch.utils.data import Dataset

from nvidia_tao_pytorch.core.path_utils import expand_path
from nvidia_tao_pytorch.cv.classification_pyt.dataloader.augmentation import CLDataAugmentation

ImageFile.LOAD_TRUNCATED_IMAGES = True
Image.MAX_IMAGE_PIXELS = 9000000000
NOCLASS_IDX = -1


class CLDataset(Dataset):
    """One split: class folders for train and val, any images below the folder otherwise.

    Class ids follow the lines of ``classes.txt`` in *root_dir*; without that file it is written from
    the folder names. Images outside the known classes get NOCLASS_IDX.
    """

    def __init__(
        self,
        root_dir,
        data_path,
        augmentation,
        nolabel_folder=None,
        split="train",
        img_size=256,
        to_tensor=True,
    ):
        super().__init__()
        if augmentation is None:
            raise ValueError("The dataset section of the spec needs an augmentation section.")
        self.root_dir = root_dir
        self.data_path = data_path
        self.nolabel_folder = nolabel_folder
        self.split = split
        self.img_size = img_size
        self.to_tensor = to_tensor
        self.class_names = self.__read_classes()
        self.img_name_list = self.get_image_file_names(inference=split not in ("train", "val"))
        self.dataset_size = len(self.img_name_list)
        names = ["mean", "std"]
        if split == "train":
            names += ["random_flip", "random_rotate", "random_color", "random_erase", "random_aug"]
            names += ["with_scale_random_crop", "with_random_crop", "with_random_blur"]
        settings = {name: augmentation[name] for name in names}
        self.augmentor = CLDataAugmentation(img_size=img_size, **settings)

    def __read_classes(self):
        path = os.path.join(self.root_dir, "classes.txt")
        if not os.path.exists(path) and self.data_path:
            with open(path, "w") as file:
                file.writelines(f"{name}\n" for name in sorted(os.listdir(self.data_path)))
        if not os.path.exists(path):
            return {}
        with open(path) as file:
            return {line.strip(): index for index, line in enumerate(file)}

    def __getitem__(self, index):
        """Return img and name; with class for train and val, else with size (width, height)."""
        path = self.get_img_path(self.img_name_list[index])
        try:
            img = Image.open(path).convert("RGB")
        except Exception as error:
            raise ValueError(f"Error loading image {path}: {error}") from error
        size = img.size
        [img] = self.augmentor.transform([img], to_tensor=self.to_tensor)
        if self.split not in ("train", "val"):
            return {"img": img, "name": path, "size": size}
        labelled = not (self.split == "train" and self.nolabel_folder and self.nolabel_folder in path)
        folder = path.split("/")[-2] if labelled else "nolabel"
        return {"img": img, "class": self.class_names.get(folder, NOCLASS_IDX), "name": path}

    def __len__(self):
        return self.dataset_size

    def get_image_file_names(self, inference=False, suffix=["jpg", "png", "JPEG"]):
        """Return the image files, in the order in which the folders list them."""
        found = []
        for ending in suffix:
            folders = ["**"] if inference else self.class_names
            for folder in folders:
                found += glob.glob(os.path.join(self.data_path, folder, f"*.{ending}"), recursive=inference)
            if not inference and self.nolabel_folder:
                found += glob.glob(os.path.join(self.nolabel_folder, f"**/*.{ending}"), recursive=True)
        return found

    def get_img_path(self, path):
        return expand_path(path)

    def collate_fn(self, batch):
        return {
            "img": torch.stack([item["img"] for item in batch]),
            "class": torch.tensor([item["class"] for item in batch]),
        }
