# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Training, evaluation and inference of a classifier."""

import csv
import os

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor
from torch.optim import SGD, Adam, AdamW, lr_scheduler
from torchmetrics import MetricCollection
from torchmetrics.classification import Accuracy

import nvidia_tao_pytorch.core.loggers.api_logging as status_logging
from nvidia_tao_pytorch.core.lightning.tao_lightning_module import TAOLightningModule
from nvidia_tao_pytorch.core.path_utils import expand_path
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier import build_model
from nvidia_tao_pytorch.cv.classification_pyt.utils.loss import Cross_Entropy
from nvidia_tao_pytorch.cv.classification_pyt.utils.utils_vis import save_with_text_overlay


class ClassifierPlModel(TAOLightningModule):
    """A classifier; networks extend it through its ``_build_*`` and CSV methods."""

    def __init__(self, experiment_spec, export=False):
        super().__init__(experiment_spec)
        self.checkpoint_filename = "classifier_model"
        self.dataset_config = experiment_spec.dataset
        self.model_config = experiment_spec.model
        self.train_config = experiment_spec.train
        self.eval_config = experiment_spec.evaluate
        self.infer_config = experiment_spec.inference
        quantized = any(
            experiment_spec[task].get("is_quantized") for task in ("evaluate", "inference", "export")
        )
        if quantized or self.train_config.enable_ema or self.dataset_config.augmentation.mixup_cutmix:
            raise NotImplementedError("The kit has no EMA, no mixup and cutmix, and no quantized models.")

        self.status_logging_dict = {}
        self.optimizer = self.train_config.optim
        self.lr = self.optimizer.lr
        self.lr_policy = self.optimizer.policy
        self.lr_policy_params = self.optimizer.policy_params
        self.max_epochs = self.train_config.num_epochs
        self.monitor_name = self.optimizer.monitor_name
        self.num_classes = self.dataset_config.num_classes
        self.batch_size = self.dataset_config.batch_size
        self.vis_dir = experiment_spec.results_dir
        self.vis_after_n_batches = self.eval_config.vis_after_n_batches
        self.vis_after_n_batches_infer = self.infer_config.vis_after_n_batches

        classes_file = self.dataset_config.classes_file
        if not os.path.exists(classes_file):
            classes_file = os.path.join(self.dataset_config.root_dir, "classes.txt")
        with open(classes_file) as file:
            self.class_names = [line.strip() for line in file]
        self.id_2_class_names = dict(enumerate(self.class_names))

        self.train_acc = self.__accuracies("train_acc")
        self.valid_acc = self.__accuracies("val_acc")
        self._build_model(export)
        self._build_criterion()

    def __accuracies(self, prefix):
        return MetricCollection(
            {
                f"{prefix}_{k}": Accuracy(task="multiclass", num_classes=self.num_classes, top_k=k)
                for k in self.model_config.head.topk
            }
        )

    def _build_model(self, export):
        self.model = build_model(experiment_config=self.experiment_spec, export=export)

    def _build_criterion(self):
        self.criterion = Cross_Entropy(label_smoothing=self.model_config.head.loss.label_smooth_val)

    def configure_callbacks(self):
        """Return the callbacks of a training run; the interval counts epochs."""
        interval = self.experiment_spec["train"]["checkpoint_interval"]
        callbacks = self._kit_callbacks("model_{epoch:03d}", every_n_epochs=interval)
        return [*callbacks, LearningRateMonitor(logging_interval="step")]

    @staticmethod
    def _get_parameter_groups(model, weight_decay, skip_names=()):
        """Return two groups of the trainable parameters: without weight decay, and with it."""
        groups = {True: [], False: []}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                groups[any(skip in name for skip in skip_names)].append(parameter)
        return [
            {"params": groups[True], "weight_decay": 0.0},
            {"params": groups[False], "weight_decay": weight_decay},
        ]

    def configure_optimizers(self):
        settings = self.optimizer
        own = {
            "sgd": (SGD, {"momentum": settings.momentum}),
            "adam": (Adam, {}),
            "adamw": (AdamW, {"betas": settings.betas}),
        }
        if settings.optim not in own:
            raise NotImplementedError(f"Optimizer {settings.optim} is not implemented")
        groups = self._get_parameter_groups(self.model, settings.weight_decay, settings.skip_names)
        kind, arguments = own[settings.optim]
        self.optimizer_G = kind(groups, lr=self.lr, weight_decay=settings.weight_decay, **arguments)
        self.lr_scheduler, interval = self.__build_scheduler()
        return {
            "optimizer": self.optimizer_G,
            "lr_scheduler": {"scheduler": self.lr_scheduler, "interval": interval, "frequency": 1},
            "monitor": self.monitor_name,
        }

    def __build_scheduler(self):
        """Return the schedule and whether it steps by epoch or by step."""
        policy, params = self.lr_policy.lower(), self.lr_policy_params or {}
        optimizer, epochs = self.optimizer_G, self.max_epochs
        gamma = params.get("gamma", 0.1)
        if policy == "linear":
            return lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / float(epochs + 1)), "epoch"
        if policy == "step":
            return lr_scheduler.StepLR(optimizer, params.get("step_size", epochs // 4), gamma), "epoch"
        if policy == "multistep":
            milestones = params.get("milestones", [epochs // 2])
            return lr_scheduler.MultiStepLR(optimizer, milestones, gamma), "epoch"
        if policy == "cosine":
            # transformers takes seconds to import, and no other policy needs it.
            from transformers.optimization import get_cosine_schedule_with_warmup

            steps = self.trainer.estimated_stepping_batches
            per_epoch = steps // (self.trainer.max_epochs * self.trainer.accumulate_grad_batches)
            warmup = per_epoch * self.optimizer.warmup_epochs
            return get_cosine_schedule_with_warmup(optimizer, warmup, steps), "step"
        raise NotImplementedError(f"learning rate policy [{self.lr_policy}] is not implemented")

    def _initialize_csv(self, file_name, class_names, with_gt_label):
        header = ["img_name", *(class_names if with_gt_label else ()), "pred_label", "pred_score"]
        with open(file_name, "w") as file:
            csv.writer(file).writerow([*header, "gt_label"] if with_gt_label else header)

    def _write_prediction_row(
        self, writer, name, class_scores, pred_label, pred_score, with_gt_label, gt_label=None
    ):
        """Write one image's row; in an inference folder, make the folder of annotated images too."""
        if "inference" in self.vis_dir:
            os.makedirs(os.path.join(self.vis_dir, "visualize"), exist_ok=True)
        row = [name, pred_label, pred_score]
        if with_gt_label and gt_label is not None:
            row = [name, *class_scores, pred_label, pred_score, gt_label]
        writer.writerow(row)

    def _visualize_predictions(self, out, batch, batch_idx, with_gt_label=False):
        """Append a batch to the result file; without true labels, annotate the images as well."""
        scores = out.softmax(dim=1)
        file_name = expand_path(os.path.join(self.vis_dir, "result.csv"))
        if batch_idx == 0:
            self._initialize_csv(file_name, self.class_names, with_gt_label)
        with open(file_name, "a") as file:
            writer = csv.writer(file)
            for index, name in enumerate(batch["name"]):
                best, best_id = (value.item() for value in scores[index].max(0))
                label = self.class_names[best_id]
                row = [writer, name, scores[index].tolist(), label, best, with_gt_label]
                if with_gt_label:
                    row.append(self.class_names[batch["class"][index].item()])
                self._write_prediction_row(*row)
                if not with_gt_label:
                    path = os.path.join(self.vis_dir, "visualize", name.split("/")[-1])
                    save_with_text_overlay(name, [best_id, round(best, 3), label], expand_path(path))

    def _forward_pass(self, batch, split="train"):
        out = self.model(batch["img"])
        self.loss = None if split == "predict" else self.criterion(out, batch["class"].long())
        return out, self.loss

    def __write_status(self, metrics, message):
        self.status_logging_dict = metrics
        logger = status_logging.get_status_logger()
        logger.kpi = metrics
        logger.write(message=message, status_level=status_logging.Status.RUNNING)

    def __flush_accuracies(self):
        accuracies = self.valid_acc.compute()
        self.log_dict(accuracies, sync_dist=True, on_step=False, on_epoch=True, prog_bar=True)
        self.valid_acc.reset()
        return {name: value.item() for name, value in accuracies.items()}

    def training_step(self, batch, batch_idx):
        out, loss = self._forward_pass(batch, "train")
        accuracies = self.train_acc(out, batch["class"].long())
        self.log_dict(accuracies, sync_dist=True, on_step=False, on_epoch=True, prog_bar=False)
        common = {"on_step": True, "prog_bar": True, "sync_dist": True}
        self.log("train_loss", loss, on_epoch=True, batch_size=self.batch_size, **common)
        self.log("lr", self.lr_schedulers().get_last_lr()[-1], on_epoch=False, **common)
        return loss

    def on_train_epoch_end(self):
        self.train_acc.reset()
        loss = self.trainer.logged_metrics["train_loss_epoch"].item()
        self.__write_status({"train_loss": loss}, "Train metrics generated.")

    def validation_step(self, batch, batch_idx):
        out, loss = self._forward_pass(batch, "val")
        self.valid_acc.update(out, batch["class"].long())
        common = {"on_step": False, "on_epoch": True, "prog_bar": True, "sync_dist": True}
        self.log("val_loss", loss, batch_size=self.batch_size, **common)
        return loss

    def on_validation_epoch_end(self):
        accuracies = self.__flush_accuracies()
        loss = self.trainer.logged_metrics["val_loss"].item()
        if not self.trainer.sanity_checking:
            self.__write_status({"val_loss": loss, **accuracies}, "Eval metrics generated.")
        pl.utilities.memory.garbage_collection_cuda()

    def test_step(self, batch, batch_idx):
        out, loss = self._forward_pass(batch, "test")
        self.valid_acc.update(out, batch["class"].long())
        self._visualize_predictions(out, batch, batch_idx, with_gt_label=True)
        self.log("test_loss", loss, on_step=True, on_epoch=False, prog_bar=True)

    def on_test_epoch_end(self):
        self.__write_status(self.__flush_accuracies(), "Test metrics generated.")

    def predict_step(self, batch, batch_idx):
        out, _ = self._forward_pass(batch, "predict")
        self._visualize_predictions(out, batch, batch_idx, with_gt_label=False)
        return out

    def on_save_checkpoint(self, checkpoint):
        checkpoint["tao_model"] = "classification"
