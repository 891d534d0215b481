# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The splits as loaders."""

import pytorch_lightning as pl
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, distributed

from nvidia_tao_pytorch.core.distributed.comm import is_dist_avail_and_initialized
from nvidia_tao_pytorch.cv.classification_pyt.dataloader.dataset import CLDataset


class CLDataModule(pl.LightningDataModule):
    """Loaders by stage: fit, test (which reads val_dataset), predict and calibration."""

    def __init__(self, dataset_config):
        super().__init__()
        self.dataset_config = dataset_config
        self.batch_size = dataset_config["batch_size"]
        self.num_workers = dataset_config["workers"]
        self.root_dir = dataset_config["root_dir"]
        self.img_size = dataset_config["img_size"]
        self.dataset = dataset_config["dataset"]
        self.augmentation = dataset_config["augmentation"]
        self.calib_dataset = None

    def __dataset(self, split, section, **kwargs):
        if self.dataset != "CLDataset":
            raise NotImplementedError(f"There is no dataset {self.dataset}, only CLDataset.")
        return CLDataset(
            root_dir=self.root_dir,
            data_path=self.dataset_config[section]["images_dir"],
            augmentation=self.augmentation,
            split=split,
            img_size=self.img_size,
            to_tensor=True,
            **kwargs,
        )

    def setup(self, stage=None):
        if stage in ("fit", None):
            nolabel = self.dataset_config["train_nolabel"]["folder_path"]
            self.train_dataset = self.__dataset("train", "train_dataset", nolabel_folder=nolabel)
            self.val_dataset = self.__dataset("val", "val_dataset")
            if is_dist_avail_and_initialized():
                self.train_sampler = distributed.DistributedSampler(self.train_dataset, shuffle=True)
            else:
                self.train_sampler = RandomSampler(self.train_dataset)
        if stage in ("test", None):
            self.test_dataset = self.__dataset("val", "val_dataset")
        if stage in ("predict", None):
            self.predict_dataset = self.__dataset("test", "test_dataset")
        if stage in ("calibration", None):
            if not self.dataset_config["quant_calibration_dataset"]["images_dir"]:
                raise ValueError("Calibration needs dataset.quant_calibration_dataset.images_dir.")
            self.calib_dataset = self.__dataset("val", "quant_calibration_dataset")

    def __loader(self, dataset, **kwargs):
        kwargs = {"batch_size": self.batch_size, "shuffle": False, "pin_memory": False, **kwargs}
        return DataLoader(dataset, num_workers=self.num_workers, **kwargs)

    def train_dataloader(self):
        """Return the shuffled training batches; the last may be smaller."""
        return DataLoader(
            self.train_dataset,
            num_workers=self.num_workers,
            batch_sampler=BatchSampler(self.train_sampler, self.batch_size, drop_last=False),
            collate_fn=self.train_dataset.collate_fn,
            pin_memory=True,
        )

    def val_dataloader(self):
        return self.__loader(self.val_dataset, collate_fn=self.train_dataset.collate_fn, pin_memory=True)

    def test_dataloader(self):
        return self.__loader(self.test_dataset)

    def predict_dataloader(self):
        return self.__loader(self.predict_dataset)

    def calib_dataloader(self):
        if self.calib_dataset is None:
            raise ValueError("Calibration needs setup('calibration') first.")
        return self.__loader(self.calib_dataset, collate_fn=self.calib_dataset.collate_fn)
