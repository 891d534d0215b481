"""Every gate of this version, in the order in which it runs.

``cpu`` gates must pass on a machine without a GPU: turning one off here is the visible change
that moves it to ``blocked``.
"""

from __future__ import annotations

from porter.records.gates import Gate

GATES: tuple[Gate, ...] = (
    Gate(id="prerequisites-python", phase=0, title="Python is 3.10 or newer"),
    Gate(id="prerequisites-git", phase=0, title="git can make sparse worktrees"),
    Gate(id="prerequisites-isolation", phase=0, title="the sandbox isolates what runs in it", cpu=False),
    Gate(id="prerequisites-disk", phase=0, title="there is room for environment and checkpoints"),
    Gate(id="prerequisites-gpu", phase=0, title="a GPU can train the model", cpu=False),
    Gate(id="prerequisites-containers", phase=0, title="gates can run in TAO's own images", cpu=False),
    Gate(id="model", phase=1, title="the model is of a supported task and its facts are complete"),
    Gate(id="clones", phase=1, title="worktrees of the clones are on the port's branch"),
    Gate(id="environment", phase=1, title="the release's environment is built from its pins"),
    Gate(id="dataset", phase=1, title="the images can be read and their classes are known"),
    Gate(id="source-state", phase=1, title="the checkpoint fills the Hugging Face model, tensor for tensor"),
    Gate(id="onnx-sanity", phase=1, title="the Hugging Face model exports to ONNX and agrees with itself"),
    Gate(id="reference", phase=2, title="the reference's files and symbols are all in the clone"),
    Gate(id="strategy", phase=2, title="a strategy fits, with a reason for every one passed over"),
    Gate(id="model-builds", phase=3, title="config imports, spec keys fit the schema, the model builds"),
    Gate(id="ledger", phase=3, title="every source and target tensor is accounted for"),
    Gate(id="files", phase=3, title="the files are in the clone, no edit of a person overwritten"),
    Gate(id="conversion", phase=3, title="the checkpoint is converted"),
    Gate(id="pl-module", phase=3, title="the Lightning module trains every parameter exactly once"),
    Gate(id="trainer-arguments", phase=3, title="on a GPU the Trainer gets the reference's arguments"),
    Gate(id="parity-tao", phase=3, title="Hugging Face -> TAO module, after loading by TAO's loader"),
    Gate(id="parity-swap", phase=3, title="a swap of two tensors is seen, or the tensor is inert and held"),
    Gate(id="preprocessing", phase=3, title="the trainer sees the tensors that the image processor makes"),
    Gate(id="run-train", phase=3, title="the train script runs"),
    Gate(id="run-evaluate", phase=3, title="the evaluate script runs; results.json and result.csv"),
    Gate(id="run-inference", phase=3, title="the inference script runs; result.csv"),
    Gate(id="run-export", phase=3, title="the export script runs; the ONNX file is valid"),
    Gate(id="predictions", phase=3, title="inference with the converted checkpoint equals Hugging Face's"),
    Gate(id="parity-onnx", phase=3, title="TAO module -> ONNX at several batch sizes"),
    Gate(id="entrypoint", phase=3, title="the console command finds and launches the subtasks"),
)

BY_ID: dict[str, Gate] = {gate.id: gate for gate in GATES}
