"""Every gate of this version, in the order in which it runs.

``cpu`` gates must pass on a machine without a GPU: turning one off here is the visible change
that moves it to ``blocked``. Those with a ``stand_in`` end as ``rehearsed`` there.
"""

from __future__ import annotations

from porter.records.gates import Gate

STAND_IN = "onnxruntime in TensorRT's place"


def _rehearsed(name: str, phase: int, title: str) -> Gate:
    return Gate(id=name, phase=phase, title=title, stand_in=STAND_IN)


GATES: tuple[Gate, ...] = (
    Gate(id="prerequisites-python", phase=0, title="Python is 3.10 or newer"),
    Gate(id="prerequisites-git", phase=0, title="git can make sparse worktrees"),
    Gate(id="prerequisites-isolation", phase=0, title="the sandbox isolates what runs in it", cpu=False),
    Gate(id="prerequisites-disk", phase=0, title="there is room for environment and checkpoints"),
    Gate(id="prerequisites-gpu", phase=0, title="a GPU can train the model", cpu=False),
    Gate(id="prerequisites-containers", phase=0, title="gates can run in TAO's own images", cpu=False),
    Gate(
        id="model",
        phase=1,
        title="the model is of a supported task and its facts are complete",
        steps=("inspection",),
    ),
    Gate(id="clones", phase=1, title="worktrees of the clones are on the port's branch"),
    Gate(id="environment", phase=1, title="the release's environment is built from its pins"),
    Gate(
        id="dataset", phase=1, title="the images can be read and their classes are known", steps=("dataset",)
    ),
    Gate(
        id="source-state",
        phase=1,
        title="the checkpoint fills the Hugging Face model, tensor for tensor",
        steps=("model-probe",),
    ),
    Gate(
        id="onnx-sanity",
        phase=1,
        title="the Hugging Face model exports to ONNX and agrees with itself",
        steps=("model-probe",),
    ),
    Gate(
        id="reference",
        phase=2,
        title="the reference's files and symbols are all in the clone",
        steps=("references",),
    ),
    Gate(
        id="strategy",
        phase=2,
        title="a strategy fits, with a reason for every one passed over",
        steps=("choice",),
    ),
    Gate(
        id="model-builds",
        phase=3,
        title="config imports, spec keys fit the schema, the model builds",
        steps=("target",),
    ),
    Gate(
        id="ledger", phase=3, title="every source and target tensor is accounted for", steps=("weight-plan",)
    ),
    Gate(id="files", phase=3, title="the files are in the clone, no edit of a person overwritten"),
    Gate(id="conversion", phase=3, title="the checkpoint is converted", steps=("conversion",)),
    Gate(
        id="pl-module",
        phase=3,
        title="the Lightning module trains every parameter exactly once",
        steps=("pl-module",),
    ),
    Gate(
        id="trainer-arguments",
        phase=3,
        title="on a GPU the Trainer gets the reference's arguments",
        steps=("pl-module",),
    ),
    Gate(
        id="parity-tao",
        phase=3,
        title="Hugging Face -> TAO module, after loading by TAO's loader",
        steps=("parity_tao",),
    ),
    Gate(
        id="parity-swap",
        phase=3,
        title="a swap of two tensors is seen, or the tensor is inert and held",
        steps=("parity_swap",),
    ),
    Gate(
        id="preprocessing",
        phase=3,
        title="the trainer sees the tensors that the image processor makes",
        steps=("preprocessing",),
    ),
    Gate(id="run-train", phase=3, title="the train script runs", steps=("scripts",)),
    Gate(
        id="run-evaluate",
        phase=3,
        title="the evaluate script runs; results.json and result.csv",
        steps=("scripts",),
    ),
    Gate(id="run-inference", phase=3, title="the inference script runs; result.csv", steps=("scripts",)),
    Gate(
        id="run-export", phase=3, title="the export script runs; the ONNX file is valid", steps=("scripts",)
    ),
    Gate(
        id="predictions",
        phase=3,
        title="inference with the converted checkpoint equals Hugging Face's",
        steps=("predictions",),
    ),
    Gate(
        id="parity-onnx", phase=3, title="TAO module -> ONNX at several batch sizes", steps=("parity_onnx",)
    ),
    Gate(id="entrypoint", phase=3, title="the console command finds and launches the subtasks"),
    Gate(id="deploy-reference", phase=4, title="tao-deploy has all that the generated code relies on"),
    Gate(id="deploy-files", phase=4, title="the files are in tao-deploy, no edit of a person overwritten"),
    Gate(id="deploy-imports", phase=4, title="the deploy package imports, and asks for no torch"),
    Gate(id="deploy-specs", phase=4, title="the deploy specs fit the schema and chain with the trainer's"),
    Gate(id="deploy-preprocessing", phase=4, title="engine and trainer see the same tensors"),
    Gate(id="parser", phase=4, title="TensorRT-RTX parses and builds the exported graph"),
    _rehearsed("engine-fp32", 4, "the FP32 engine builds with the profile that the spec asks for"),
    _rehearsed("engine-fp16", 4, "the FP16 engine builds"),
    _rehearsed("engine-int8", 4, "the INT8 engine is calibrated on the tensors that inference sees"),
    _rehearsed("engine-qdq", 4, "a graph with Q/DQ nodes is built strongly typed"),
    _rehearsed("deploy-inference", 4, "inference at several batch sizes writes the trainer's rows"),
    _rehearsed(
        "deploy-evaluate", 4, "evaluation at several batch sizes writes the trainer's rows and metrics"
    ),
    _rehearsed("deploy-entrypoint", 4, "the deploy console command finds and launches the subtasks"),
    Gate(id="console-scripts", phase=5, title="the console commands are in every setup file and resolve"),
    Gate(id="docs-table", phase=5, title="documentation tables are those of the clone's own tool"),
    Gate(id="licence-headers", phase=5, title="every generated file has the header of its repository"),
    Gate(
        id="tests-collected-tao-pytorch", phase=5, title="pytest collects every generated test of tao-pytorch"
    ),
    Gate(
        id="tests-collected-tao-deploy", phase=5, title="pytest collects every generated test of tao-deploy"
    ),
    Gate(id="consistency-spec-keys", phase=5, title="spec keys are fields of the schema"),
    Gate(id="consistency-schemas", phase=5, title="both repositories have the same schema"),
    Gate(
        id="consistency-checkpoint",
        phase=5,
        title="every reference to a checkpoint is to the one that is written",
    ),
    Gate(id="consistency-normalisation", phase=5, title="mean and std are the same wherever they are stated"),
    Gate(id="consistency-onnx-names", phase=5, title="ONNX names are those that exporter and engine use"),
    Gate(id="consistency-image-size", phase=5, title="export width and height are img_size"),
    Gate(id="consistency-batch", phase=5, title="batch -1 where, and only where, axis 0 is dynamic"),
    Gate(id="consistency-onnx-file", phase=5, title="the engine is built from the file that export writes"),
    Gate(id="consistency-params-mapping", phase=5, title="model_params_mapping has the width of the head"),
    Gate(id="consistency-classes", phase=5, title="one order of classes everywhere"),
    Gate(
        id="consistency-own-modules",
        phase=5,
        title="each repository uses its own runner, monitor and launcher",
    ),
    Gate(id="consistency-packages", phase=5, title="every package has its __init__.py"),
    Gate(
        id="clean-environment",
        phase=6,
        title="the clones win over anything installed; tao-core is the release's",
    ),
    Gate(id="tests-tao-core", phase=6, title="unit tests of the port in tao-core"),
    Gate(id="tests-tao-pytorch", phase=6, title="unit tests of the port in tao-pytorch"),
    Gate(id="tests-tao-deploy", phase=6, title="unit tests of the port in tao-deploy"),
    Gate(id="lint-tao-pytorch", phase=6, title="no new finding of the repository's lint in tao-pytorch"),
    Gate(id="lint-tao-deploy", phase=6, title="no new finding of the repository's lint in tao-deploy"),
    Gate(id="wheel-tao-pytorch", phase=6, title="the wheel of tao-pytorch holds every generated package"),
    Gate(id="wheel-tao-deploy", phase=6, title="the wheel of tao-deploy holds every generated package"),
    Gate(id="wheel-extensions", phase=6, title="the whole wheel builds, extensions included", cpu=False),
    Gate(id="chain-train", phase=6, title="the console command trains, evaluates, infers and exports"),
    _rehearsed("chain-deploy", 6, "the console command builds the engine, infers and evaluates"),
    _rehearsed("native-engine", 6, "engine and native model agree on the same images"),
    _rehearsed("done", 6, "every file of a finished port is there and not empty"),
)

BY_ID: dict[str, Gate] = {gate.id: gate for gate in GATES}
