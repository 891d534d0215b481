"""Traps of deploy code, each as one change of a generated file, and the gate that sees it first.

What the gates make of every way to write tables and metrics wrong is in `tests/gates`, without a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "nvidia_tao_deploy/cv/mini_vit"


@dataclass(frozen=True)
class Mutation:
    """One change of the deploy package of a finished port.

    Attributes:
        trap: what goes wrong, in a word or two.
        file: path below the tao-deploy worktree.
        old: text that is replaced, once.
        new: what stands there then; None takes the file away.
        gate: the gate that fails.
        said: words of its summary.
    """

    trap: str
    file: str
    old: str
    new: str | None
    gate: str
    said: str

    @contextlib.contextmanager
    def made(self, worktree: Path) -> Iterator[None]:
        """Make the change in *worktree*, and undo it."""
        file = worktree / self.file
        before = file.read_bytes()
        text = before.decode()
        if self.new is None:
            file.unlink()
        else:
            assert text.count(self.old) == 1, f"{self.file} has {self.old!r} {text.count(self.old)} times"
            file.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            file.write_bytes(before)


def _row(trap: str, file: str, old: str, new: str | None, gate: str, said: str) -> Mutation:
    return Mutation(trap, f"{_PACKAGE}/{file}", old, new, gate, said)


IMPORTS: tuple[Mutation, ...] = (
    _row(
        "torch inside a function",
        "utils.py",
        "    best = np.argsort(-probabilities",
        "    import torch\n    del torch\n    best = np.argsort(-probabilities",
        "deploy-imports",
        "nvidia_tao_deploy/cv/mini_vit/utils.py imports torch",
    ),
    _row(
        "scripts are no package",
        "scripts/__init__.py",
        "",
        None,
        "deploy-imports",
        "nvidia_tao_deploy.cv.mini_vit.scripts is imported from a folder without __init__.py",
    ),
    _row(
        "the trainer's schema",
        "scripts/evaluate.py",
        "from nvidia_tao_deploy.config.mini_vit.default_config",
        "from nvidia_tao_pytorch.config.mini_vit.default_config",
        "deploy-imports",
        "No module named 'nvidia_tao_pytorch'",
    ),
)

SPECS: tuple[Mutation, ...] = (
    _row(
        "another engine path in one spec",
        "specs/inference.yaml",
        "${results_dir}/trt/mini_vit.engine",
        "${results_dir}/gen_trt_engine/mini_vit.engine",
        "deploy-specs",
        "inference.yaml: inference.trt_engine is",
    ),
    _row(
        "a spec on the test split",
        "specs/evaluate.yaml",
        "${dataset.root_dir}/val",
        "${dataset.root_dir}/test",
        "deploy-specs",
        "evaluate.yaml: dataset.val_dataset.images_dir is",
    ),
    _row(
        "a key that the schema lacks",
        "specs/evaluate.yaml",
        "  batch_size: 8",
        "  batchsize: 8",
        "deploy-specs",
        "batchsize",
    ),
)

PREPROCESSING: tuple[Mutation, ...] = (
    _row("bicubic", "dataloader.py", '"bilinear"', '"bicubic"', "deploy-preprocessing", "largest difference"),
    _row(
        "centre crop",
        "dataloader.py",
        "crop=None",
        'crop="center"',
        "deploy-preprocessing",
        "largest difference",
    ),
    _row(
        "mean and std swapped",
        "dataloader.py",
        "image_mean=tuple(image_mean),\n            image_std=tuple(image_std)",
        "image_mean=tuple(image_std),\n            image_std=tuple(image_mean)",
        "deploy-preprocessing",
        "largest difference",
    ),
    _row(
        "ImageNet's mean and std",
        "dataloader.py",
        "image_mean=tuple(image_mean),\n            image_std=tuple(image_std)",
        "image_mean=None,\n            image_std=None",
        "deploy-preprocessing",
        "largest difference",
    ),
    _row(
        "pixels of another mode",
        "dataloader.py",
        'mode="torch"',
        'mode="caffe"',
        "deploy-preprocessing",
        "largest difference",
    ),
    _row(
        "the last partial batch is dropped",
        "dataloader.py",
        "-(-self.n_samples // batch_size)",
        "self.n_samples // batch_size",
        "deploy-preprocessing",
        "val: 8 of 10 images are in a batch",
    ),
    _row(
        "an ending that the trainer reads",
        "dataloader.py",
        '("jpg", "png", "JPEG")',
        '("jpg", "jpeg", "JPEG")',
        "deploy-preprocessing",
        "val: 6 of the trainer's 10 images are not read",
    ),
    _row(
        "double precision",
        "dataloader.py",
        "dtype=np.float32,\n        )",
        "dtype=np.float64,\n        )",
        "deploy-preprocessing",
        "float64",
    ),
)

ENGINES: tuple[Mutation, ...] = (
    _row(
        "Q/DQ nodes are not looked for",
        "scripts/gen_trt_engine.py",
        'quantized = file_format == "onnx" and is_qdq_quantized_onnx(onnx_file)',
        "quantized = False",
        "engine-qdq",
        "asked for no precision",
    ),
    _row(
        "data_type is not passed on",
        "scripts/gen_trt_engine.py",
        "    builder.create_engine(**engine_kwargs)",
        '    builder.create_engine(**{**engine_kwargs, "precision": "fp32"})',
        "engine-fp16",
        "asked for no precision",
    ),
    _row(
        "the calibration's own preprocessing",
        "engine_builder.py",
        "image_std=self.image_std,",
        "image_std=self.image_mean,",
        "engine-int8",
        "calibration tensors are not those of inference",
    ),
    _row(
        "the reference's calibration",
        "engine_builder.py",
        "    def set_calibrator(",
        "    def _set_calibrator(",
        "engine-int8",
        "gen_trt_engine (engine-int8) failed: TypeError",
    ),
    _row(
        "no calibration profile",
        "engine_builder.py",
        "        self.config.set_calibration_profile(profile)\n",
        "",
        "engine-int8",
        "calibration batch 1 of input, [4, 3, 32, 32]",
    ),
    _row(
        "a profile of one batch",
        "scripts/gen_trt_engine.py",
        "    builder_kwargs, engine_kwargs = initialize_gen_trt_engine_experiment(cfg)\n",
        "    builder_kwargs, engine_kwargs = initialize_gen_trt_engine_experiment(cfg)\n"
        '    builder_kwargs["max_batch_size"] = builder_kwargs["opt_batch_size"]\n',
        "engine-fp32",
        "its profile is",
    ),
)

INFERENCE: tuple[Mutation, ...] = (
    _row(
        "sorted classes.txt",
        "utils.py",
        "for index, line in enumerate(f)}",
        "for index, line in enumerate(sorted(f))}",
        "deploy-inference",
        "columns",
    ),
    _row(
        "logits in place of probabilities",
        "inferencer.py",
        "        return exponents / exponents.sum(axis=1, keepdims=True)",
        "        return logits",
        "deploy-inference",
        "probabilities sum to",
    ),
    _row(
        "batch size of another field",
        "utils.py",
        "cfg[task].batch_size if cfg[task].batch_size > 0 else cfg.dataset.batch_size",
        "cfg.dataset.batch_size",
        "engine-int8",
        "The engine takes batches of 1 to 6 images, not 7",
    ),
    _row(
        "columns in another order",
        "utils.py",
        '*class_names, "pred_label", "pred_score"]',
        '*class_names, "pred_score", "pred_label"]',
        "deploy-inference",
        "columns",
    ),
    _row(
        "rows in another order",
        "dataloader.py",
        "        return sorted(paths)",
        "        return sorted(paths, reverse=True)",
        "deploy-inference",
        "the rows are in another order",
    ),
    _row(
        "links are resolved",
        "dataloader.py",
        "        return sorted(paths)",
        "        return sorted(os.path.realpath(path) for path in paths)",
        "deploy-inference",
        "8 images have no row, 8 rows have no image",
    ),
    _row(
        "inference on the val split",
        "scripts/inference.py",
        "cfg.dataset.test_dataset.images_dir",
        "cfg.dataset.val_dataset.images_dir",
        "engine-int8",
        "There are no images",
    ),
    _row(
        "a batch above the profile",
        "inferencer.py",
        "if not smallest <= batch_size <= largest:",
        "if batch_size < smallest:",
        "deploy-inference",
        "tensorrt.max_batch_size",
    ),
    _row(
        "probabilities as text",
        "utils.py",
        "*row.tolist(), ",
        "*(repr(value) for value in row), ",
        "deploy-inference",
        "is no number",
    ),
)

EVALUATION: tuple[Mutation, ...] = (
    _row(
        "rows of a partial batch's padding",
        "inferencer.py",
        "super().infer(imgs)[:len(imgs)]",
        "super().infer(imgs)",
        "deploy-evaluate",
        "evaluate (evaluate-3) failed: ValueError",
    ),
    _row(
        "evaluation on the test split",
        "scripts/evaluate.py",
        "cfg.dataset.val_dataset.images_dir",
        "cfg.dataset.test_dataset.images_dir",
        "deploy-evaluate",
        "There are no images",
    ),
    _row(
        "no column of true labels",
        "scripts/evaluate.py",
        "probabilities, class_names, labels)",
        "probabilities, class_names)",
        "deploy-evaluate",
        "columns",
    ),
    _row(
        "another key in results.json",
        "scripts/evaluate.py",
        'f"top_{topk}_accuracy"',
        'f"top{topk}"',
        "deploy-evaluate",
        "results.json has top1",
    ),
    _row(
        "NumPy's numbers in results.json",
        "utils.py",
        "    return float((best == labels[:, None]).any(axis=1).mean())",
        "    return np.float32((best == labels[:, None]).any(axis=1).mean())",
        "deploy-evaluate",
        "float32 is not JSON serializable",
    ),
)

COMMANDS: tuple[Mutation, ...] = (
    _row(
        "interpolations are resolved too late",
        "scripts/gen_trt_engine.py",
        "@resolve_spec\n",
        "",
        "deploy-entrypoint",
        "the console command left no mini_vit.engine",
    ),
)

PHASE_4: tuple[Mutation, ...] = (
    *IMPORTS,
    *SPECS,
    *PREPROCESSING,
    *ENGINES,
    *INFERENCE,
    *EVALUATION,
    *COMMANDS,
)

CHAIN: tuple[Mutation, ...] = (
    _row(
        "interpolations are resolved too late in inference",
        "scripts/inference.py",
        "@resolve_spec\n",
        "",
        "chain-deploy",
        "`mini_vit inference` ended with 1",
    ),
)
