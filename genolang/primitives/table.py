"""The table of primitive layers: signature, shape rule and cost of each.

Everything with a paper's name is `.geno` text; these are the words it is written in. A feature map
is (B, C, H, W); rules see (C, H, W). `macs` counts multiply-accumulates of one image for
convolutions, linear layers and matrix products, as the field does; all else costs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genolang.primitives import shapes
from genolang.primitives.shapes import REDUCED, Attrs, MapType, Types, pair
from genolang.records import record


@record(frozen=True)
class Weights:
    """What one layer owns: learnable parameters and running statistics, as numbers of elements."""

    params: int
    buffers: int = 0


NOTHING = Weights(0)


@record(frozen=True)
class Field:
    """A compile-time argument. `kind`: int, positive, size (n or (rows, columns)), number, number0
    (none below zero), above0, share (from 0 to 1), bool, map, or the words that may stand there. `default`
    REQUIRED means that it must be given, None that the rule fills it in."""

    name: str
    kind: str | tuple[str, ...]
    default: Any = None


# Kinds of numbers, each with the least and the greatest (or None) and what a number outside is told.
NUMBERS: dict[str, tuple[float | None, float | None, str]] = {
    "number": (None, None, "a number"),
    "number0": (0, None, "no number below 0"),
    "above0": (0, None, "a number above 0"),
    "share": (0, 1, "a number from 0 to 1"),
}


def out_of_range(kind: str, value: Any) -> str | None:
    """What a number of a kind has to be, where it is something else."""
    least, greatest, wanted = NUMBERS[kind]
    below = least is not None and (value < least or (kind == "above0" and value == 0))
    return wanted if below or (greatest is not None and value > greatest) else None


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


def _no_weights(attrs: Attrs, types: Types) -> Weights:
    return NOTHING


def _no_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    return 0


@record(frozen=True)
class Primitive:
    """A layer: `maps` is the number of feature maps it takes, None for one or more."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    shape: Callable[[Attrs, Types], MapType]
    weights: Callable[[Attrs, Types], Weights] = _no_weights
    macs: Callable[[Attrs, Types, MapType], int] = _no_macs
    maps: int | None = 1
    # Whether what it owns depends on the height and width of its map, not on the channels alone.
    sized: bool = False

    @property
    def has_weights(self) -> bool:
        return self.weights is not _no_weights


def _conv_weights(attrs: Attrs, types: Types) -> Weights:
    C, out = types[0].C, attrs["out"] or types[0].C
    rows, columns = pair(attrs["k"])
    return Weights(out * (C // attrs["groups"]) * rows * columns + (out if attrs["bias"] else 0))


def _conv_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    rows, columns = pair(attrs["k"])
    groups: int = attrs["groups"]
    return out.size * (types[0].C // groups) * rows * columns


def _transposed_weights(attrs: Attrs, types: Types) -> Weights:
    C, out = types[0].C, attrs["out"] or types[0].C
    rows, columns = pair(attrs["k"])
    return Weights(C * (out // attrs["groups"]) * rows * columns + (out if attrs["bias"] else 0))


def _transposed_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    rows, columns = pair(attrs["k"])
    groups: int = attrs["groups"]
    return types[0].size * (out.C // groups) * rows * columns


def _relative_attention_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    key: int = attrs["key"]
    positions = out.H * out.W
    # Queries with keys, weights with values, queries with both tables.
    return positions * (positions * (key + out.C) + 2 * key * (out.H + out.W - 1))


_K = Field("k", "size", REQUIRED)
_STRIDE = Field("stride", "size", 1)
_PAD = Field("pad", "size0")
_INIT = Field("init", "init")
_OVER = Field("over", ("channels", "space"), REQUIRED)
_ALONG = Field("over", tuple(REDUCED), REQUIRED)


def _activation(name: str, doc: str, *fields: Field) -> Primitive:
    return Primitive(name, doc, fields, shapes.same)


_ACTIVATIONS = (
    _activation("relu", "max(x, 0)."),
    _activation("sigmoid", "1 / (1 + exp(-x))."),
    _activation("tanh", "Hyperbolic tangent."),
    _activation("silu", "x * sigmoid(x)."),
    _activation("gelu", "x times the share of a normal distribution below x; `approximate` computes it by a tanh.",
                Field("approximate", "bool", False)),
    _activation("hard_swish", "x * hard_sigmoid(x)."),
    _activation("hard_sigmoid", "x / 6 + 1/2, between 0 and 1."),
    _activation("leaky_relu", "x above 0, `slope` times x below.", Field("slope", "number", 0.01)),
    _activation("elu", "x above 0, alpha * (exp(x) - 1) below.", Field("alpha", "number0", 1)),
    _activation("mish", "x * tanh(softplus(x))."),
    _activation("softplus", "log(1 + exp(beta * x)) / beta; x itself where beta * x is above 20.",
                Field("beta", "above0", 1)),
    _activation("sin", "Sine."),
    _activation("cos", "Cosine."),
    _activation("exp", "e to the power of x."),
    _activation("log", "Natural logarithm, of values above 0."),
    _activation("sqrt", "Square root, of values above 0 where there is a gradient."),
    _activation("abs", "Absolute value."),
    Primitive("clamp", "x, or the bound that it would cross; either bound may be left out.",
              (Field("min", "number"), Field("max", "number")), shapes.clamped),
    _activation("power", "x to the power of `exponent`, of values above 0 where that is no whole number.",
                Field("exponent", "number", REQUIRED)),
)  # fmt: skip
ACTIVATIONS = frozenset([primitive.name for primitive in _ACTIVATIONS])

_TABLE = (
    Primitive(
        "image", "The network's input: channels, height, width.",
        (Field("channels", "positive", REQUIRED), Field("height", "positive", REQUIRED),
         Field("width", "positive", REQUIRED)), shapes.image, maps=0,
    ),
    Primitive(
        "conv", "Convolution; `out` is the input's channels unless given, `pad` keeps the size.",
        (_K, Field("out", "positive"), _STRIDE, Field("groups", "positive", 1),
         Field("dilation", "positive", 1), _PAD, Field("bias", "bool", False), _INIT),
        shapes.conv, _conv_weights, _conv_macs,
    ),
    Primitive(
        "standardized_conv",
        "Convolution whose weights are, per output channel, minus their mean and over their standard deviation.",
        (_K, Field("out", "positive"), _STRIDE, Field("groups", "positive", 1), Field("dilation", "positive", 1),
         _PAD, Field("bias", "bool", False), Field("eps", "number0", 1e-6), _INIT),
        shapes.standardized_conv, _conv_weights, _conv_macs,
    ),
    Primitive(
        "transposed_conv",
        "Transposed convolution: `stride` times as large, or as `pad` (cut off on every side) and `extra` (rows and"
        " columns more at the end) say.",
        (_K, Field("out", "positive"), _STRIDE, Field("groups", "positive", 1), Field("dilation", "positive", 1),
         _PAD, Field("extra", "size0"), Field("bias", "bool", False), _INIT),
        shapes.transposed_conv, _transposed_weights, _transposed_macs,
    ),
    Primitive(
        "linear", "A dense layer over the channels of a map of one position.",
        (Field("out", "positive", REQUIRED), Field("bias", "bool", True), _INIT), shapes.linear,
        lambda a, t: Weights(t[0].C * a["out"] + (a["out"] if a["bias"] else 0)),
        lambda a, t, out: t[0].C * out.C,
    ),
    Primitive(
        "batch_norm", "Batch normalisation; `affine` adds a learnable scale and shift per channel.",
        (Field("affine", "bool", True), Field("momentum", "share", 0.1),
         Field("eps", "number0", 1e-5)), shapes.same,
        lambda a, t: Weights(2 * t[0].C if a["affine"] else 0, 2 * t[0].C),
    ),
    Primitive("scale", "A learnable gain and shift per channel, which begin at these values.",
              (Field("gain", "number", 1), Field("shift", "number", 0)), shapes.same,
              lambda a, t: Weights(2 * t[0].C)),
    Primitive("standardize",
              "Minus the mean, over the unbiased standard deviation plus `eps`; a single value gives 0.",
              (_OVER, Field("eps", "number0", 1e-5)), shapes.same),
    Primitive(
        "layer_norm",
        "Layer normalisation over the channels of each position, with a learnable gain and shift per"
        " channel.", (Field("eps", "number0", 1e-5),), shapes.same, lambda a, t: Weights(2 * t[0].C),
    ),
    Primitive(
        "group_norm",
        "Normalisation of each image over groups of channels and all positions; `affine` adds a learnable scale and"
        " shift per channel.",
        (Field("groups", "positive", 32), Field("affine", "bool", True), Field("eps", "number0", 1e-5)),
        shapes.group_norm, lambda a, t: Weights(2 * t[0].C if a["affine"] else 0),
    ),
    Primitive("parameter", "A learnable map of a shape (channels, height, width), which begins at `init`.",
              (Field("shape", "shape", REQUIRED), Field("init", "init", 0)), lambda a, t: MapType(*a["shape"]),
              lambda a, t: Weights(MapType(*a["shape"]).size)),
    Primitive("coordinates", "Two channels of the map's size: rows, and columns, from -1 to 1.", (),
              lambda a, t: MapType(2, t[0].H, t[0].W)),
    Primitive("sinusoids",
              "Sines, then cosines, of the row, then of the column, as many each, of frequencies from 1 to 1 over"
              " `temperature`; as many channels as the map unless given.",
              (Field("channels", "positive"), Field("temperature", "above0", 10000)), shapes.sinusoids),
    Primitive("l2_norm", "Divided by the Euclidean norm, or by `eps` where that is larger.",
              (_OVER, Field("eps", "number0", 1e-12)), shapes.same),
    *_ACTIVATIONS,
    Primitive("prelu", "x above 0, below it x times a learnable slope per channel, or one that all share.",
              (Field("shared", "bool", False), Field("slope", "number", 0.25)), shapes.same,
              lambda a, t: Weights(1 if a["shared"] else t[0].C)),
    Primitive("softmax", "Softmax over the channels of a position or the positions of a channel.",
              (_OVER,), shapes.same),
    Primitive("max_pool", "Maximum over a window; `ceil` keeps a last partial window.",
              (_K, _STRIDE, _PAD, Field("ceil", "bool", False)), shapes.pool),
    Primitive("avg_pool", "Mean over a window; padding is not counted in the divisor, or is with `count_pad`.",
              (_K, _STRIDE, _PAD, Field("ceil", "bool", False), Field("count_pad", "bool", False)), shapes.pool),
    Primitive("adaptive_max_pool", "Maximum of as many equal parts as `size` has rows and columns.",
              (Field("size", "size", REQUIRED),), lambda a, t: MapType(t[0].C, *pair(a["size"]))),
    Primitive("global_avg_pool", "Mean over all positions.", (),
              lambda a, t: MapType(t[0].C, 1, 1)),
    Primitive("global_max_pool", "Maximum over all positions.", (),
              lambda a, t: MapType(t[0].C, 1, 1)),
    Primitive("mean", "Mean over the channels, or those of each group, the positions, or one axis of them.",
              (_ALONG, Field("groups", "positive", 1)), shapes.mean),
    Primitive("max", "Maximum over the channels, the positions, or one axis of them.", (_ALONG,),
              shapes.reduced),
    Primitive("concat", "Maps one behind the other along the channels.", (), shapes.concat, maps=None),
    Primitive("slice", "The channels from `start` to before `stop`.",
              (Field("start", "int0", REQUIRED), Field("stop", "positive", REQUIRED)), shapes.sliced),
    Primitive("repeat_channels", "Each channel `times` times, one behind the other.",
              (Field("times", "positive", REQUIRED),),
              lambda a, t: MapType(t[0].C * a["times"], t[0].H, t[0].W)),
    Primitive("channel_shuffle", "The first channel of every group, then the second of every group, and so on.",
              (Field("groups", "positive", REQUIRED),), lambda a, t: shapes.grouped(a["groups"], t[0])),
    Primitive("pixel_shuffle", "Squares of `r` x `r` positions made of `r` * `r` channels each.",
              (Field("r", "positive", REQUIRED),), shapes.pixel_shuffle),
    Primitive("pixel_unshuffle", "Channels made of the positions of squares of `r` x `r`; what `pixel_shuffle` undoes.",
              (Field("r", "positive", REQUIRED),), shapes.pixel_unshuffle),
    Primitive("pad_channels", "Channels of zeros up to `out`: half of them, rounded down, in front.",
              (Field("out", "positive", REQUIRED),), shapes.pad_channels),
    Primitive("add", "Element-wise sum, written `+`.", (Field("constant", "number", 0),),
              shapes.elementwise, maps=None),
    Primitive("subtract", "Element-wise difference, written `-`.", (), shapes.elementwise, maps=2),
    Primitive("multiply", "Element-wise product, written `*`.", (Field("constant", "number", 1),),
              shapes.elementwise, maps=None),
    Primitive("divide", "Element-wise quotient, written `/`.", (), shapes.elementwise, maps=2),
    Primitive("resize",
              "To the height and width of the map `like`, or `size`: by `nearest`, `bilinear`,"
              " `bilinear_corners` (corners stay corners) or `area`.",
              (Field("like", "map"), Field("size", "size"),
               Field("mode", ("nearest", "bilinear", "bilinear_corners", "area"), "nearest")), shapes.resize),
    Primitive("pad_space", "Zeros around a map: `before` its first rows and columns, `after` its last.",
              (Field("before", "size0", 0), Field("after", "size0", 0)), shapes.pad_space),
    Primitive("subsample", "Every `stride`-th row and column from `offset` on; rounds the size up.",
              (Field("stride", "positive", 2), Field("offset", "int0", 0)), shapes.subsample),
    Primitive("zeros", "A map of zeros, subsampled by `stride`.",
              (Field("stride", "positive", 1),), shapes.subsample),
    Primitive("matmul", "Matrix product of two maps, each a matrix of channels by positions.", (),
              shapes.matmul, macs=lambda a, t, out: t[0].size * t[1].H * t[1].W, maps=2),
    Primitive("transpose", "Channels and positions swapped: CxHxW becomes (H*W)xCx1.", (),
              shapes.transpose),
    Primitive(
        "relative_attention",
        "Self-attention of all positions, with learned biases for their distance in rows and in columns;"
        " takes queries, keys (`key` channels each) and values, head by head.",
        (Field("key", "positive", REQUIRED), Field("value", "positive", REQUIRED),
         Field("heads", "positive", 8)), shapes.relative_attention,
        lambda a, t: Weights(2 * (t[0].H + t[0].W - 1) * (a["key"] // a["heads"])), _relative_attention_macs,
        sized=True,
    ),
    Primitive("single_precision",
              "In single precision at least: for products and sums that half precision cannot hold.", (),
              shapes.same),
    Primitive("precision", "In the precision of the map `like`.", (Field("like", "map", REQUIRED),),
              shapes.same),
    Primitive("dropout", "In training, sets values to zero with probability p and scales the rest.",
              (Field("p", "share", 0.5),), shapes.same),
    Primitive("drop_path",
              "In training, drops whole samples with the scheduled probability; left out of a"
              " pipeline whose earlier stages include the identity.", (), shapes.same),
    Primitive("identity", "The map itself.", (), shapes.same),
)  # fmt: skip

PRIMITIVES: dict[str, Primitive] = {primitive.name: primitive for primitive in _TABLE}
