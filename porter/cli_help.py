"""What `--help` says of a command that a line does not describe."""

from __future__ import annotations

MATRIX = """\
Port a list of models, each by itself, and write what became of them as one table.

Every row is a `porter port` in a process and a workspace of its own, several at a time as far as memory
goes. A row that fails is a row with its reason; a matrix that was stopped goes on where it was, and a row
that is done runs again only when its model, porter or the clones change. The folder gets matrix.json,
matrix.md and matrix.html. The exit code is 1 when a row did not end as the list expects.

\b
The list, in TOML:
  [defaults]
  budget = 900                         # seconds that a row may take
  labels = ["cat", "dog"]              # of models that are made
  processor = "small"                  # likewise, one of the list's own
  [processors.small]                   # a preprocessor_config.json
  image_processor_type = "ViTImageProcessor"
  size = { height = 32, width = 32 }
\b
  [[rows]]                             # a model that is there
  name = "vit-base"
  source = "google/vit-base-patch16-224"   # hub id, or a folder
\b
  [[rows]]                             # a model of transformers, made with random weights
  name = "small-resnet"
  model.architecture = "ResNetForImageClassification"
  model.config = { embedding_size = 8, hidden_sizes = [8, 16], depths = [1, 1] }
  model.processor = "small"            # or a table
\b
  [[rows]]                             # a model of timm, made as a hub repository of timm
  name = "small-xcit"
  timm.architecture = "xcit_nano_12_p16_224"
  timm.arguments = { img_size = 64, depth = 2 }
  timm.pretrained = { input_size = [3, 64, 64], crop_pct = 0.9 }
\b
A row may also have: revision, task, strategy, settings = { "train.num_epochs" = 2 },
budget (seconds), memory_gb, and expected = "refused" where porter has to turn it away.
"""
"""The format of the list is a part of it; ``\\b`` keeps the lines of a paragraph as they are."""
