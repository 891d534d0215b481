"""Every gate of this version, in the order in which it runs.

``cpu`` gates must pass on a machine without a GPU: turning one off here is the visible change
that moves it to ``blocked``. Those with a ``stand_in`` end as ``rehearsed`` there.
"""

from __future__ import annotations

from porter.records.gates import Gate

STAND_IN = "onnxruntime in TensorRT's place"


def _gate(phase: int, name: str, title: str, *steps: str, cpu: bool = True, stand_in: str = "") -> Gate:
    return Gate(id=name, phase=phase, title=title, cpu=cpu, stand_in=stand_in, steps=steps)


def _rehearsed(phase: int, name: str, title: str, *steps: str) -> Gate:
    return _gate(phase, name, title, *steps, stand_in=STAND_IN)


_SCHEMA_FACTS = ("schema-facts-tao-pytorch", "schema-facts-tao-deploy", "schema-facts-tao-core")

GATES: tuple[Gate, ...] = (
    _gate(0, "prerequisites-python", "Python is 3.10 or newer"),
    _gate(0, "prerequisites-git", "git can make sparse worktrees"),
    _gate(0, "prerequisites-isolation", "the sandbox isolates what runs in it", cpu=False),
    _gate(0, "prerequisites-disk", "there is room for environment and checkpoints"),
    _gate(0, "prerequisites-gpu", "a GPU can train the model", cpu=False),
    _gate(0, "prerequisites-toolkit", "a container sees the GPU", cpu=False),
    _gate(0, "prerequisites-token", "whether a token for the Hub is set; never its value"),
    _gate(0, "prerequisites-registry", "a key for NVIDIA's registry is set", cpu=False),
    _gate(0, "prerequisites-images", "gates run in NVIDIA's images without TAO's own packages", cpu=False),
    _gate(1, "model", "the model is of a supported task and its facts are complete", "inspection"),
    _gate(1, "clones", "worktrees of the clones are on the port's branch"),
    _gate(1, "environment", "the release's environment is built from its pins"),
    _gate(1, "dataset", "the images can be read and their classes are known", "dataset"),
    _gate(1, "source-state", "the checkpoint fills the Hugging Face model, tensor for tensor", "model-probe"),
    _gate(1, "onnx-sanity", "the Hugging Face model exports to ONNX and agrees with itself", "model-probe"),
    _gate(2, "reference", "the reference's files and symbols are all in the clone", "choice"),
    _gate(2, "strategy", "a strategy fits, with a reason for every one passed over", "choice"),
    _gate(3, "model-builds", "config imports, spec keys fit the schema, the model builds", "target"),
    _gate(3, "ledger", "every source and target tensor is accounted for", "weight-plan"),
    _gate(3, "files", "the files are in the clone, no edit of a person overwritten"),
    _gate(3, "conversion", "the checkpoint is converted", "conversion"),
    _gate(3, "pl-module", "the Lightning module trains every parameter exactly once", "pl-module"),
    _gate(3, "trainer-arguments", "on a GPU the Trainer gets the reference's arguments", "pl-module"),
    _gate(3, "parity-tao", "Hugging Face -> TAO module, after loading by TAO's loader", "parity_tao"),
    _gate(3, "parity-swap", "a swap of two tensors is seen, or the tensor is inert and held", "parity_swap"),
    _gate(3, "preprocessing", "the trainer sees the tensors that the image processor makes", "preprocessing"),
    _gate(3, "run-train", "the train script runs", "scripts"),
    _gate(3, "run-evaluate", "the evaluate script runs; results.json and result.csv", "scripts"),
    _gate(3, "run-inference", "the inference script runs; result.csv", "scripts"),
    _gate(3, "run-export", "the export script runs; the ONNX file is valid", "scripts"),
    _gate(3, "predictions", "inference with the converted checkpoint equals Hugging Face's", "predictions"),
    _gate(3, "parity-onnx", "TAO module -> ONNX at several batch sizes", "parity_onnx"),
    _gate(3, "entrypoint", "the console command finds and launches the subtasks"),
    _gate(4, "deploy-reference", "tao-deploy has all that the generated code relies on", "deploy-reference"),
    _gate(4, "deploy-files", "the files are in tao-deploy, no edit of a person overwritten"),
    _gate(4, "deploy-imports", "the deploy package imports, and asks for no torch", "deploy-package"),
    _gate(
        4, "deploy-specs", "the deploy specs fit the schema and chain with the trainer's", "deploy-package"
    ),
    _gate(4, "deploy-preprocessing", "engine and trainer see the same tensors", "deploy-preprocessing"),
    _gate(4, "parser", "TensorRT-RTX parses and builds the exported graph", "parser"),
    _rehearsed(4, "engine-fp32", "the FP32 engine builds with the profile that the spec asks for", "engines"),
    _rehearsed(4, "engine-fp16", "the FP16 engine builds", "engines"),
    _rehearsed(
        4, "engine-int8", "the INT8 engine is calibrated on the tensors that inference sees", "engines"
    ),
    _rehearsed(4, "engine-qdq", "a graph with Q/DQ nodes is built as it is quantised", "engines"),
    _rehearsed(
        4, "deploy-inference", "inference at several batch sizes writes the trainer's rows", "engines"
    ),
    _rehearsed(
        4,
        "deploy-evaluate",
        "evaluation at several batch sizes writes the trainer's rows and metrics",
        "engines",
    ),
    _rehearsed(4, "deploy-entrypoint", "the deploy console command finds and launches the subtasks"),
    _gate(
        5,
        "console-scripts",
        "the console commands are in every setup file and resolve",
        "help-tao-pytorch",
        "help-tao-deploy",
    ),
    _gate(5, "docs-table", "documentation tables are those of the clone's own tool", "docs-table"),
    _gate(5, "licence-headers", "every generated file has the header of its repository", "licence-headers"),
    _gate(
        5,
        "tests-collected-tao-pytorch",
        "pytest collects every generated test of tao-pytorch",
        "tests-collected-tao-pytorch",
    ),
    _gate(
        5,
        "tests-collected-tao-deploy",
        "pytest collects every generated test of tao-deploy",
        "tests-collected-tao-deploy",
    ),
    _gate(5, "consistency-spec-keys", "spec keys are fields of the schema", *_SCHEMA_FACTS),
    _gate(5, "consistency-schemas", "both repositories have the same schema", *_SCHEMA_FACTS),
    _gate(
        5,
        "consistency-checkpoint",
        "every reference to a checkpoint is to the one that is written",
        *_SCHEMA_FACTS,
    ),
    _gate(
        5, "consistency-normalisation", "mean and std are the same wherever they are stated", *_SCHEMA_FACTS
    ),
    _gate(5, "consistency-onnx-names", "ONNX names are those that exporter and engine use", *_SCHEMA_FACTS),
    _gate(5, "consistency-image-size", "export width and height are img_size", *_SCHEMA_FACTS),
    _gate(5, "consistency-batch", "batch -1 where, and only where, axis 0 is dynamic", *_SCHEMA_FACTS),
    _gate(5, "consistency-onnx-file", "the engine is built from the file that export writes", *_SCHEMA_FACTS),
    _gate(5, "consistency-params-mapping", "model_params_mapping has the width of the head", *_SCHEMA_FACTS),
    _gate(5, "consistency-classes", "one order of classes everywhere", *_SCHEMA_FACTS),
    _gate(
        5,
        "consistency-own-modules",
        "each repository uses its own runner, monitor and launcher",
        *_SCHEMA_FACTS,
    ),
    _gate(5, "consistency-packages", "every package has its __init__.py", *_SCHEMA_FACTS),
    _gate(
        5,
        "catalog-entry",
        "porter train knows the network, and every key that its entry names is a field of the schema",
        "catalog-schema-tao-pytorch",
        "catalog-schema-tao-deploy",
    ),
    _gate(
        6,
        "clean-environment",
        "the clones win over anything installed; tao-core is the release's",
        "clean-tao-pytorch",
        "clean-tao-deploy",
    ),
    _gate(6, "tests-tao-core", "unit tests of the port in tao-core"),
    _gate(6, "tests-tao-pytorch", "unit tests of the port in tao-pytorch", "tests-tao-pytorch"),
    _gate(6, "tests-tao-deploy", "unit tests of the port in tao-deploy", "tests-tao-deploy"),
    _gate(
        6, "lint-tao-pytorch", "no new finding of the repository's lint in tao-pytorch", "lint-tao-pytorch"
    ),
    _gate(6, "lint-tao-deploy", "no new finding of the repository's lint in tao-deploy", "lint-tao-deploy"),
    _gate(
        6, "wheel-tao-pytorch", "the wheel of tao-pytorch holds every generated package", "wheel-tao-pytorch"
    ),
    _gate(6, "wheel-tao-deploy", "the wheel of tao-deploy holds every generated package", "wheel-tao-deploy"),
    _gate(6, "wheel-extensions", "the whole wheel builds, extensions included", cpu=False),
    _gate(6, "chain-train", "the console command trains, evaluates, infers and exports", "chain-train"),
    _rehearsed(6, "chain-deploy", "the console command builds the engine, infers and evaluates"),
    _rehearsed(6, "native-engine", "engine and native model agree on the same images"),
    _rehearsed(6, "done", "every file of a finished port is there and not empty"),
)

BY_ID: dict[str, Gate] = {gate.id: gate for gate in GATES}
