"""What each primitive is in the generated Python; the counterpart of `torch_layers` and `torch_functions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.compiler.python.attention import RELATIVE_ATTENTION
from genolang.compiler.python.text import Arg, Call, Expr, Hole, Infix, Items, Member, Slices, Text
from genolang.compiler.torch.activations import ACTIVATIONS
from genolang.compiler.torch.functions import number
from genolang.primitives import REDUCED, initialiser, padding, pair, transposed_padding
from genolang.semantics.program import Leaf

Attrs = Mapping[str, Any]

# Every helper that a layer may need, in the order in which the generated file defines them.
HELPERS: dict[str, str] = {
    "RelativeAttention": RELATIVE_ATTENTION,
    "initialised": '''def initialised(layer: nn.Module, word: str, number: float) -> nn.Module:
    """The layer, whose weight begins as a word says, and whose bias, if it has one, at 0."""
    weight, kind = layer.weight, word.rpartition("_")[2]
    like = "relu" if word.startswith("he_") else "linear"
    with torch.no_grad():
        if word == "constant":
            nn.init.constant_(weight, number)
        elif word == "normal":
            nn.init.normal_(weight, std=number)
        elif word == "uniform":
            nn.init.uniform_(weight, -number, number)
        elif word == "trunc_normal":
            nn.init.trunc_normal_(weight, std=number, a=-2 * number, b=2 * number)
        elif word == "orthogonal":
            nn.init.orthogonal_(weight, gain=number)
        elif word.startswith("glorot_"):
            getattr(nn.init, f"xavier_{kind}_")(weight, gain=number)
        else:
            getattr(nn.init, f"kaiming_{kind}_")(weight, nonlinearity=like).mul_(number)
        if getattr(layer, "bias", None) is not None:
            layer.bias.zero_()
    return layer
''',
    "Part": '''class Part(nn.Module):
    """A module that may hold a layer called `training`."""

    def train(self, mode: bool = True) -> Part:
        self.__dict__["training"] = mode
        for module in self.children():
            module.train(mode)
        return self
''',
    "BatchNorm": '''class BatchNorm(nn.BatchNorm2d):
    """Batch norm without a batch counter; state dicts that have one load all the same."""

    def __init__(
        self,
        channels: int,
        momentum: float = 0.1,
        eps: float = 1e-05,
        affine: bool = True,
    ) -> None:
        super().__init__(channels, eps, momentum, affine)
        self.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        kept, weights = (self.running_mean, self.running_var), (self.weight, self.bias)
        settings = self.training, self.momentum, self.eps
        # torch 2.13 may get the gradient of one image wrong, of rows of pixels it does not. What
        # torch.fx traces with is no tensor, and has no size.
        if isinstance(x, Tensor) and x.shape[0] == 1:
            return F.batch_norm(x.flatten(2), *kept, *weights, *settings).view_as(x)
        return F.batch_norm(x, *kept, *weights, *settings)

    def _apply(self, fn, recurse=True):
        # A variance may not fit into half precision where its map does.
        def kept(tensor):
            moved = fn(tensor)
            half = moved.dtype in (torch.float16, torch.bfloat16)
            single = tensor.dtype == torch.float32
            return tensor.to(moved.device) if half and single else moved

        return super()._apply(kept, recurse)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *rest)
''',
    "StandardizedConv": '''class StandardizedConv(nn.Conv2d):
    """A convolution whose weights have mean 0 and deviation 1 for each output."""

    def __init__(self, *sizes, eps: float = 1e-06, **options) -> None:
        super().__init__(*sizes, **options)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        rows = self.weight.flatten(1)[None].to(wide)
        rows = torch.batch_norm(rows, None, None, None, None, True, 0.0, self.eps, False)
        return self._conv_forward(x, rows.view_as(self.weight).to(x.dtype), self.bias)
''',
    "Linear": '''class Linear(nn.Linear):
    """A dense layer on (B, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.bias)[:, :, None, None]
''',
    "Scale": '''class Scale(nn.Module):
    """A gain and a shift per channel."""

    def __init__(self, channels: int, gain: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), gain))
        self.bias = nn.Parameter(torch.full((channels,), shift))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])
        return y.to(x.dtype)
''',
    "Learned": '''class Learned(nn.Module):
    """A learnable map, the same for all images of a batch."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.to(x.dtype).expand(x.shape[0], -1, -1, -1)
''',
    "GroupNorm": '''class GroupNorm(nn.GroupNorm):
    """torch's, for groups of a single value too."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
''',
    "LayerNorm": '''class LayerNorm(nn.LayerNorm):
    """Layer norm over the channels at each position of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
''',
    "DropPath": '''class DropPath(nn.Module):
    """Drops whole samples with probability `p`, in training, and scales the others."""

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype) < keep
        return x * (mask.to(x.dtype) / keep)
''',
    "subsample": '''def subsample(x: Tensor, stride: int, offset: int) -> Tensor:
    """Every stride-th row and column from `offset` on; a missing last one is zero."""
    rows, columns = -(-x.shape[2] // stride), -(-x.shape[3] // stride)
    y = x[:, :, offset::stride, offset::stride]
    return F.pad(y, (0, columns - y.shape[3], 0, rows - y.shape[2]))
''',
    "coordinates": '''def coordinates(x: Tensor) -> Tensor:
    """Rows and columns of a map, from -1 to 1; 0 where there is only one."""
    B, _, H, W = x.shape
    rows, columns = (
        (2 * torch.arange(n, device=x.device, dtype=x.dtype) - (n - 1)) / max(n - 1, 1)
        for n in (H, W)
    )
    both = torch.stack((rows[:, None].expand(H, W), columns.expand(H, W)))
    return both.expand(B, 2, H, W)
''',
    "sinusoids": '''def sinusoids(x: Tensor, channels: int, temperature: float) -> Tensor:
    """Sines and cosines of rows and of columns, in single precision at least."""
    B, _, H, W = x.shape
    quarter, single = channels // 4, torch.promote_types(x.dtype, torch.float32)
    steps = torch.arange(quarter, device=x.device, dtype=single)
    rates = temperature ** (-steps / max(quarter - 1, 1))
    rows, columns = (rates[:, None] * torch.arange(n, device=x.device) for n in (H, W))
    tall = torch.cat((rows.sin(), rows.cos()))[:, :, None].expand(-1, H, W)
    wide = torch.cat((columns.sin(), columns.cos()))[:, None].expand(-1, H, W)
    return torch.cat((tall, wide)).to(x.dtype).expand(B, channels, H, W)
''',
    "standardize": '''def standardize(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """Minus the mean, over the standard deviation plus eps, in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    count = x.shape[1] if dims == (1,) else x.shape[2] * x.shape[3]
    deviation, mean = torch.std_mean(wide, dims, correction=min(1, count - 1), keepdim=True)
    return ((wide - mean) / (deviation + eps)).to(x.dtype)


torch.fx.wrap("standardize")
''',
    "pad_channels": '''def pad_channels(x: Tensor, out: int) -> Tensor:
    """Channels of zeros up to `out`, half of them in front."""
    more = out - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, more // 2, more - more // 2))
''',
    "matmul": '''def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product of two maps, each a matrix of channels by positions."""
    rows, columns, kind = a.flatten(2), b.flatten(2), a.device.type
    single = a.dtype == b.dtype == torch.float32
    if single and not a.is_meta and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            product = torch.matmul(rows, columns)
    else:
        product = torch.matmul(rows, columns)
    return product.view(*product.shape[:2], *b.shape[2:])


torch.fx.wrap("matmul")
''',
    "single_precision": '''def single_precision(x: Tensor) -> Tensor:
    """The map in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
''',
    "l2_norm": '''def l2_norm(x: Tensor, dims: tuple[int, ...], eps: float = 1e-12) -> Tensor:
    """Over the Euclidean norm, or over `eps` where that is larger, in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.normalize(wide, dim=dims, eps=eps).to(x.dtype)
''',
    "mix": '''def mix(weights: Tensor, *candidates: Tensor) -> Tensor:
    """A mixed operation: the candidates, summed by their weights."""
    total = weights[0] * candidates[0]
    for weight, candidate in zip(weights[1:], candidates[1:]):
        total = total + weight * candidate
    return total


torch.fx.wrap("mix")
''',
    "mix_product": '''def mix_product(weights: Tensor, *masks: Tensor) -> Tensor:
    """A mixed mask: the product of the masks, each to the power of its weight."""
    tiny = torch.finfo(masks[0].dtype).tiny
    total = weights[0] * masks[0].clamp_min(tiny).log()
    for weight, mask in zip(weights[1:], masks[1:]):
        total = total + weight * mask.clamp_min(tiny).log()
    return total.exp()


torch.fx.wrap("mix_product")
''',
}


def _size(value: Any) -> Any:
    rows, columns = pair(value)
    return rows if rows == columns else (rows, columns)


def _call(function: str, *args: Expr | Arg, base: Expr | None = None) -> Call:
    return Call(function, tuple(a if isinstance(a, Arg) else Arg(a) for a in args), base)


def _optional(keyword: str, role: str, value: Any, default: Any) -> Arg:
    return Arg(Hole(role, value, default), keyword)


def constructor(leaf: Leaf) -> Call:
    """The call that makes a layer with weights, which begin as it says, else as torch has them."""
    begun = leaf.attrs.get("init")
    found = None if begun is None else initialiser(begun)
    if found is None or (found == ("constant", 0.0) and leaf.layer == "parameter"):
        return _layer(leaf)
    return _call("initialised", _layer(leaf), Text(f'"{found[0]}"'), Hole("init", found[1]))


def _layer(leaf: Leaf) -> Call:
    attrs, C = leaf.attrs, leaf.inputs[0].C
    if leaf.layer in ("conv", "standardized_conv"):
        standardized = leaf.layer == "standardized_conv"
        return _call(
            "StandardizedConv" if standardized else "nn.Conv2d",
            Hole("in_channels", C),
            Hole("out_channels", attrs["out"] or C),
            Hole("kernel", _size(attrs["k"])),
            _optional("stride", "stride", _size(attrs["stride"]), 1),
            _optional("padding", "padding", _size(padding(attrs)), 0),
            _optional("dilation", "dilation", attrs["dilation"], 1),
            _optional("groups", "groups", attrs["groups"], 1),
            _optional("bias", "bias", attrs["bias"], True),
            *([_optional("eps", "eps", float(attrs["eps"]), 1e-6)] if standardized else []),
        )
    if leaf.layer == "linear":
        return _call(
            "Linear",
            Hole("in_channels", C),
            Hole("out_channels", attrs["out"]),
            _optional("bias", "bias", attrs["bias"], True),
        )
    if leaf.layer == "scale":
        return _call(
            "Scale",
            Hole("channels", C),
            _optional("gain", "gain", float(attrs["gain"]), 1.0),
            _optional("shift", "shift", float(attrs["shift"]), 0.0),
        )
    if leaf.layer == "transposed_conv":
        pad, extra = transposed_padding(attrs)
        return _call(
            "nn.ConvTranspose2d",
            Hole("in_channels", C),
            Hole("out_channels", attrs["out"] or C),
            Hole("kernel", _size(attrs["k"])),
            _optional("stride", "stride", _size(attrs["stride"]), 1),
            _optional("padding", "padding", _size(pad), 0),
            _optional("output_padding", "output_padding", _size(extra), 0),
            _optional("groups", "groups", attrs["groups"], 1),
            _optional("bias", "bias", attrs["bias"], True),
            _optional("dilation", "dilation", attrs["dilation"], 1),
        )
    if leaf.layer == "group_norm":
        return _call(
            "GroupNorm",
            Hole("groups", attrs["groups"]),
            Hole("channels", C),
            _optional("eps", "eps", attrs["eps"], 1e-5),
            _optional("affine", "affine", attrs["affine"], True),
        )
    if leaf.layer == "parameter":
        return _call("Learned", Hole("shape", attrs["shape"]))
    if leaf.layer == "prelu":
        return _call(
            "nn.PReLU",
            Hole("channels", 1 if attrs["shared"] else C),
            _optional("init", "slope", float(attrs["slope"]), 0.25),
        )
    if leaf.layer == "layer_norm":
        return _call("LayerNorm", Hole("channels", C), _optional("eps", "eps", attrs["eps"], 1e-5))
    if leaf.layer == "relative_attention":
        x = leaf.inputs[0]
        return _call(
            "RelativeAttention",
            Hole("key", attrs["key"]),
            Hole("heads", attrs["heads"]),
            Hole("height", x.H),
            Hole("width", x.W),
        )
    assert leaf.layer == "batch_norm", leaf.layer
    return _call(
        "BatchNorm",
        Hole("channels", C),
        _optional("momentum", "momentum", attrs["momentum"], 0.1),
        _optional("eps", "eps", attrs["eps"], 1e-5),
        _optional("affine", "affine", attrs["affine"], True),
    )


def function(layer: str, attrs: Attrs, maps: tuple[Expr, ...]) -> Expr:
    """A layer without weights, of its maps; maps that stand in it twice must be names."""
    x = maps[0]
    if layer in ACTIVATIONS:
        return _activation(layer, attrs, x)
    if layer in ("max_pool", "avg_pool"):
        return _pool(layer, attrs, x)
    if layer in ("add", "subtract", "multiply", "divide"):
        return _infix(layer, attrs, maps)
    keep = Arg(Text("True"), "keepdim")
    channels = attrs.get("over") == "channels"
    match layer:
        case "softmax" if channels:
            return _call("softmax", Text("1"), base=x)
        case "softmax":
            matrix = _call("softmax", Text("2"), base=_call("flatten", Text("2"), base=x))
            return _call("view_as", x, base=matrix)
        case "mean" if attrs["groups"] > 1:
            grouped = _call("unflatten", Text("1"), Items((Hole("groups", attrs["groups"]), Text("-1"))), base=x)
            return _call("mean", Text("2"), base=grouped)
        case "standardize":
            return _call("standardize", x, Text("(1,)" if channels else "(2, 3)"), Hole("eps", attrs["eps"]))
        case "l2_norm":
            dims = Text("(1,)" if channels else "(2, 3)")
            return _call("l2_norm", x, dims, _optional("eps", "eps", attrs["eps"], 1e-12))
        case "pad_space":
            (top, left), (bottom, right) = pair(attrs["before"]), pair(attrs["after"])
            return _call("F.pad", x, Hole("padding", (left, right, top, bottom)))
        case "slice":
            start, stop = attrs["start"], attrs["stop"]
            return _call("narrow", Text("1"), Hole("start", start), Hole("length", stop - start), base=x)
        case "channel_shuffle":
            return _call("F.channel_shuffle", x, Hole("groups", attrs["groups"]))
        case "pixel_shuffle" | "pixel_unshuffle":
            return _call(f"F.{layer}", x, Hole("factor", attrs["r"]))
        case "adaptive_max_pool":
            return _call("F.adaptive_max_pool2d", x, Hole("size", pair(attrs["size"])))
        case "coordinates":
            return _call("coordinates", x)
        case "sinusoids":
            given, temperature = attrs["channels"], float(attrs["temperature"])
            wide: Expr = Hole("channels", given) if given else Member(x, "shape[1]")
            return _call("sinusoids", x, wide, Hole("temperature", temperature))
        case "repeat_channels":
            return _call("repeat_interleave", Hole("times", attrs["times"]), Arg(Text("1"), "dim"), base=x)
        case "pad_channels":
            return _call("pad_channels", x, Hole("out_channels", attrs["out"]))
        case "global_avg_pool" | "mean":
            axes = REDUCED[attrs.get("over", "space")]
            return _call("mean", Text(str(axes) if len(axes) > 1 else str(axes[0])), keep, base=x)
        case "max" if attrs["over"] != "space":
            largest = _call("max", Arg(Text(str(REDUCED[attrs["over"]][0])), "dim"), keep, base=x)
            return Member(largest, "values")
        case "global_max_pool" | "max":
            return _call("F.adaptive_max_pool2d", x, Text("1"))
        case "concat":
            return _call("torch.cat", Items(maps), Text("1"))
        case "subsample" if attrs["offset"] == 0:
            return Slices(x, Hole("stride", attrs["stride"]))
        case "subsample":
            return _call("subsample", x, Hole("stride", attrs["stride"]), Hole("offset", attrs["offset"]))
        case "zeros":
            return _call("torch.zeros_like", Slices(x, Hole("stride", attrs["stride"])))
        case "matmul":
            return _call("matmul", *maps)
        case "single_precision":
            return _call("single_precision", x)
        case "precision":
            return _call("to", Member(maps[1], "dtype"), base=x)
        case "transpose":
            matrix = _call("transpose", Text("1"), Text("2"), base=_call("flatten", Text("2"), base=x))
            return _call("unsqueeze", Text("3"), base=matrix)
        case "dropout":
            # Numbers are drawn in the order of memory.
            return _call("F.dropout", _call("contiguous", base=x), Hole("p", attrs["p"]), Text("self.training"))
    assert layer == "resize", layer
    return _resize(attrs, maps)


def _activation(layer: str, attrs: Attrs, x: Expr) -> Expr:
    rule = ACTIVATIONS[layer]
    given = [
        Arg(Text(f'"{value}"') if isinstance(value, str) else Hole(name, value), name)
        for name, value in rule.arguments(attrs).items()
    ]
    return _call(rule.source, x, *given)


def _pool(layer: str, attrs: Attrs, x: Expr) -> Expr:
    k = _size(attrs["k"])
    args = [
        x,
        Hole("kernel", k),
        _optional("stride", "stride", _size(attrs["stride"]), k),
        _optional("padding", "padding", _size(padding(attrs)), 0),
        _optional("ceil_mode", "ceil_mode", attrs["ceil"], False),
    ]
    if layer == "avg_pool":
        args.append(Arg(Text(str(attrs["count_pad"])), "count_include_pad"))
    return _call(f"F.{layer}2d", *args)


def _infix(layer: str, attrs: Attrs, maps: tuple[Expr, ...]) -> Expr:
    sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}[layer]
    total = maps[0]
    for other in maps[1:]:
        total = Infix(sign, total, other)
    constant = attrs.get("constant")
    constant = None if constant is None else number(constant)
    if constant is None or constant == (1 if layer == "multiply" else 0):
        return total
    if layer == "add" and constant < 0:
        return Infix("-", total, Hole("constant", -constant))
    return Infix(sign, total, Hole("constant", constant))


def _resize(attrs: Attrs, maps: tuple[Expr, ...]) -> Expr:
    if len(maps) == 2:
        size: Expr = Member(maps[1], "shape[-2:]")
    else:
        size = Hole("size", pair(attrs["size"]))
    word, _, corners = attrs["mode"].partition("_")
    mode = Arg(Text(f'"{word}"'), "mode")
    aligned = (Arg(Text("True" if corners else "False"), "align_corners"),) if word == "bilinear" else ()
    return _call("F.interpolate", maps[0], Arg(size, "size"), mode, *aligned)
