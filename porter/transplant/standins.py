"""What stands in lifted files for the parts of transformers that models lean on.

Never imported: porter reads the text and copies what a lifted file needs of it, a class or function at a
time. Of ``PreTrainedModel`` only the methods that the file calls are copied, of the activations those that
the model's config names.
"""

import contextlib
import functools
import math

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Config:
    """Settings of a model as attributes; the settings of a part of it are a Config of their own."""

    def __init__(self, settings, **others):
        """Take the settings of a dictionary, and others by name."""
        for name, value in {**settings, **others}.items():
            is_part = name.endswith("_config") and isinstance(value, dict)
            setattr(self, name, Config(value) if is_part else value)


class ModelOutput:
    """Named outputs of a model; those that are None count as absent."""

    def _present(self):
        return {name: value for name, value in vars(self).items() if value is not None}

    def to_tuple(self):
        """Return the outputs in the order of their names' declaration."""
        return tuple(self._present().values())

    def keys(self):
        """Return the names of the outputs."""
        return self._present().keys()

    def __getitem__(self, key):
        """Return an output by name, or by its place; of a slice, a tuple."""
        return self._present()[key] if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, name, value):
        """Set an output by name."""
        setattr(self, name, value)

    def __iter__(self):
        """Go through the names of the outputs."""
        return iter(self._present())

    def __len__(self):
        """Return the number of outputs."""
        return len(self._present())


class PreTrainedModel(nn.Module):
    """Base of the models: settings, initial weights, activations that can be recomputed."""

    def __init__(self, config, *args, **kwargs):
        """Keep the settings."""
        super().__init__()
        self.config = config

    @classmethod
    def _from_config(cls, config, **kwargs):
        return cls(config, **kwargs)

    @property
    def device(self):
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self):
        """Type of the weights."""
        return next(self.parameters()).dtype

    @torch.no_grad()
    def post_init(self):
        """Give every module its initial weights, unless a model inside of this one has done so."""
        self._initialize(self)

    def _initialize(self, module):
        for child in module.children():
            owner = child if isinstance(child, PreTrainedModel) else self
            owner._initialize(child)
        if not getattr(module, "_has_initial_weights", False):
            self._init_weights(module)
            module._has_initial_weights = True

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)):
            nn.init.normal_(module.weight, std=getattr(self.config, "initializer_range", 0.02))
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)

    @property
    def is_gradient_checkpointing(self):
        """Whether a layer recomputes its activations in the backward pass."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def gradient_checkpointing_enable(self):
        """Recompute the layers' activations in the backward pass.

        Raises:
            ValueError: If no layer of this model can.
        """
        if not self._set_gradient_checkpointing(True):
            raise ValueError(f"{type(self).__name__} cannot recompute its activations.")

    def gradient_checkpointing_disable(self):
        """Keep the layers' activations for the backward pass."""
        self._set_gradient_checkpointing(False)

    def _set_gradient_checkpointing(self, enable):
        layers = [module for module in self.modules() if hasattr(module, "gradient_checkpointing")]
        for module in layers:
            module.gradient_checkpointing = enable
        return layers

    def get_head_mask(self, head_mask, num_hidden_layers, is_attention_chunked=False):
        """Return the mask of the attention heads by layer; None for layers that keep all of them.

        A mask is (heads,) or (layers, heads); what each layer gets has axes for batch and positions.
        """
        if head_mask is None:
            return [None] * num_hidden_layers
        mask = head_mask.to(self.dtype).expand(num_hidden_layers, -1)[:, None, :, None, None]
        return mask[..., None] if is_attention_chunked else mask


class BackboneMixin(nn.Module):
    """A model that gives the outputs of some of its stages."""

    has_attentions = True

    def _init_backbone(self, config):
        self.stage_names = config.stage_names
        self._out_features = config.out_features
        self._out_indices = config.out_indices
        self.num_features = None

    @property
    def out_features(self):
        """Names of the stages whose outputs are given."""
        return self._out_features

    @property
    def out_indices(self):
        """Places of those stages."""
        return self._out_indices

    @property
    def channels(self):
        """Number of channels of each output."""
        return [self.num_features[self.stage_names.index(stage)] for stage in self.out_features]

    def forward_with_filtered_kwargs(self, *args, **kwargs):
        """Run the model, without an argument that it may not have."""
        if not self.has_attentions:
            kwargs.pop("output_attentions", None)
        return self(*args, **kwargs)


class GradientCheckpointingLayer(nn.Module):
    """A layer that can recompute its activations in the backward pass instead of keeping them."""

    gradient_checkpointing = False

    def __call__(self, *args, **kwargs):
        """Run the layer."""
        if self.gradient_checkpointing and self.training:
            return checkpoint(functools.partial(super().__call__, **kwargs), *args, use_reentrant=False)
        return super().__call__(*args, **kwargs)


class OutputRecorder:
    """Says what of a class of layers is an output: which item of a tuple, and what their path holds."""

    def __init__(self, target_class, index=0, layer_name="", class_name=""):
        """Keep what is asked for."""
        self.target_class = target_class
        self.index = index
        self.layer_name = layer_name or ""
        self.class_name = class_name or ""

    def matches(self, path, module):
        """Return whether the module at a path is one of those layers."""
        named = self.class_name and path.endswith(self.class_name)
        typed = self.target_class is not None and isinstance(module, self.target_class)
        return bool(named or typed) and self.layer_name in path


def can_return_tuple(forward):
    """Decorate a forward method so that it returns a tuple where the caller or the config asks for one."""

    @functools.wraps(forward)
    def returning(self, *args, return_dict=None, **kwargs):
        outputs = forward(self, *args, **kwargs)
        named = self.config.return_dict if return_dict is None else return_dict
        return outputs if named or isinstance(outputs, tuple) else outputs.to_tuple()

    return returning


def check_model_inputs(forward=None, *, tie_last_hidden_states=True):
    """Decorate a forward method so that it also returns what layers give, where that is asked for.

    Which layers is in the class's _can_record_outputs. The last of the hidden states is the model's own
    output unless tie_last_hidden_states is off.
    """
    if forward is None:
        return functools.partial(check_model_inputs, tie_last_hidden_states=tie_last_hidden_states)

    @functools.wraps(forward)
    def recording(self, *args, **kwargs):
        return_dict = kwargs.pop("return_dict", None)
        recorded = {}
        with contextlib.ExitStack() as hooks:
            for name, layers in (getattr(self, "_can_record_outputs", None) or {}).items():
                if kwargs.get(f"output_{name}", getattr(self.config, f"output_{name}", False)):
                    recorded[name] = ()
                    for handle in _record(self, name, layers, recorded):
                        hooks.callback(handle.remove)
            outputs = forward(self, *args, **kwargs)
        for name, values in recorded.items():
            if name == "hidden_states" and tie_last_hidden_states and hasattr(outputs, "last_hidden_state"):
                values = (*values[:-1], outputs.last_hidden_state)
            outputs[name] = values
        return outputs.to_tuple() if return_dict is False else outputs

    return recording


def _record(model, name, layers, recorded):
    """Yield the handles of hooks that append what layers give to recorded[name]."""

    def hook(index):
        def append(module, inputs, output):
            first = inputs[:1] if name == "hidden_states" and not recorded[name] else ()
            given = output[index] if isinstance(output, tuple) else output
            recorded[name] += first + (() if given is None else (given,))

        return append

    for each in layers if isinstance(layers, list) else [layers]:
        if not isinstance(each, OutputRecorder):
            kind, ending = (None, each) if isinstance(each, str) else (each, "")
            each = OutputRecorder(kind, index=0 if "hidden_states" in name else 1, class_name=ending)
        for path, module in model.named_modules():
            if each.matches(path, module):
                yield module.register_forward_hook(hook(each.index))


def sdpa_attention_forward(
    module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, **kwargs
):
    """Return the attention (batch, positions, heads, width) by torch's fused kernels, and no weights."""
    if is_causal is None:
        is_causal = attention_mask is None and query.shape[2] > 1 and getattr(module, "is_causal", True)
    output = nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=bool(is_causal),
    )
    return output.transpose(1, 2).contiguous(), None


ALL_ATTENTION_FUNCTIONS = {"sdpa": sdpa_attention_forward}


def is_torchdynamo_compiling():
    """Return whether torch.compile is at work."""
    return torch.compiler.is_compiling()


def torch_int(x):
    """Return a number as an int, also while tracing: sizes are fixed."""
    return int(x)


def torch_float(x):
    """Return a number as a float, also while tracing: sizes are fixed."""
    return float(x)


def fold_patches(x, output_size, kernel_size, stride):
    """Put patches (B, C * height * width, number), which do not overlap, together to images (B, C, H, W)."""
    kernel, step = (
        each if isinstance(each, (tuple, list)) else (each, each) for each in (kernel_size, stride)
    )
    if tuple(kernel) != tuple(step):
        raise ValueError("The patches overlap, or there are gaps between them.")
    height, width = kernel
    rows, columns = output_size[0] // height, output_size[1] // width
    channels = x.shape[1] // (height * width)
    x = x.reshape(-1, channels, height, width, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(-1, channels, rows * height, columns * width)


def averaging_pool2d(x, output_size):
    """Average images (B, C, H, W) over the cells of a grid; also where its size does not divide theirs.

    Then the averages are two products with constant matrices, which every exporter can write; where the size
    divides, they are those of plain pooling.
    """
    sizes = tuple(int(size) for size in x.shape[-2:])
    cells = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    cells = tuple(size if count is None else count for size, count in zip(sizes, cells))
    if all(size % count == 0 for size, count in zip(sizes, cells)):
        return nn.functional.avg_pool2d(x, tuple(size // count for size, count in zip(sizes, cells)))
    rows, columns = (_averages(size, count, x) for size, count in zip(sizes, cells))
    return rows @ x @ columns.transpose(0, 1)


def _averages(size, count, like):
    """Return the matrix (count, size) that averages each of count overlapping ranges of size values."""
    matrix = torch.zeros(count, size, dtype=like.dtype, device=like.device)
    for place in range(count):
        start, end = place * size // count, -(-(place + 1) * size // count)
        matrix[place, start:end] = 1.0 / (end - start)
    return matrix


class AveragingPool2d(nn.Module):
    """A grid of averages over images, see averaging_pool2d."""

    def __init__(self, output_size):
        """Keep the size of the grid."""
        super().__init__()
        self.output_size = output_size

    def forward(self, x):
        """Return the averages of images (B, C, H, W)."""
        return averaging_pool2d(x, self.output_size)


def batch_norm_by_parts(x, *_, eps=1e-5, **__):
    """Normalise every channel of x (B, C, ...) by its own mean and variance.

    TensorRT has no batch norm in training mode.
    """
    dims = [0, *range(2, x.dim())]
    mean = x.mean(dim=dims, keepdim=True)
    variance = (x - mean).square().mean(dim=dims, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


def max_pool2d(x, *args, **kwargs):
    """Pool images (B, C, H, W) that zeros may have been padded to.

    ONNX Runtime makes one operation of padding and pooling, which pads by minus infinity. The clamp, which
    changes no value, keeps it from that.
    """
    return nn.functional.max_pool2d(torch.clamp(x, min=torch.finfo(x.dtype).min), *args, **kwargs)


def split_by_size(x, size):
    """Split x along its first axis into parts of a size; their number is fixed while tracing."""
    count = int(x.shape[0]) // int(size)
    return x.reshape(count, -1, *x.shape[1:]).unbind(0)


def split_in_shares(x, sizes):
    """Split x along its first axis into parts whose sizes are to each other as the given ones."""
    total, start, parts = sum(sizes), 0, []
    for size in sizes:
        parts.append(x[x.shape[0] * start // total : x.shape[0] * (start + size) // total])
        start += size
    return parts


class TanhGELU(nn.Module):
    """GELU by its tanh approximation, term by term."""

    def forward(self, x):
        """Return the activation of x."""
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class FastGELU(nn.Module):
    """GELU by its tanh approximation, with a rounded constant."""

    def forward(self, x):
        """Return the activation of x."""
        return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


class QuickGELU(nn.Module):
    """GELU by a sigmoid."""

    def forward(self, x):
        """Return the activation of x."""
        return x * torch.sigmoid(1.702 * x)


class SquaredReLU(nn.Module):
    """The square of ReLU."""

    def forward(self, x):
        """Return the activation of x."""
        return torch.square(nn.functional.relu(x))


ACT2CLS = {
    "gelu": nn.GELU,
    "gelu_fast": FastGELU,
    "gelu_new": TanhGELU,
    "gelu_pytorch_tanh": functools.partial(nn.GELU, approximate="tanh"),
    "leaky_relu": nn.LeakyReLU,
    "linear": nn.Identity,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "quick_gelu": QuickGELU,
    "relu": nn.ReLU,
    "relu2": SquaredReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}


class Activations(dict):
    """Gives a new activation module for the name of one."""

    def __getitem__(self, name):
        """Return the module."""
        return super().__getitem__(name)()


ACT2FN = Activations(ACT2CLS)
