"""The primitive layers: signature, shape rule and cost of each. Plain Python, no torch.

Everything with a paper's name is `.geno` text; these are the words it is written in. A feature map
is (B, C, H, W); rules see (C, H, W). `macs` counts multiply-accumulates of one image for
convolutions, linear layers and matrix products, as the field does; all else costs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class MapType(NamedTuple):
    """The shape of a feature map without its batch axis."""

    C: int
    H: int
    W: int

    def __str__(self) -> str:
        return f"{self.C}x{self.H}x{self.W}"

    @property
    def size(self) -> int:
        return self.C * self.H * self.W

    @property
    def is_vector(self) -> bool:
        """Whether it has a single position, as what `linear` takes."""
        return self.H == self.W == 1


class ShapeProblem(Exception):
    """A shape rule that does not hold; the checker adds the places."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        self.code, self.message, self.help = code, message, help
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Weights:
    """What one layer owns: learnable parameters and running statistics, as numbers of elements."""

    params: int
    buffers: int = 0


NOTHING = Weights(0)
Attrs = Mapping[str, Any]
Types = Sequence[MapType]


@dataclass(frozen=True, slots=True)
class Field:
    """A compile-time argument. `kind`: int, positive, size (n or (rows, columns)), number, bool,
    map, or the words that may stand there. `default` REQUIRED means that it must be given, None
    that the rule fills it in."""

    name: str
    kind: str | tuple[str, ...]
    default: Any = None


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


def _no_weights(attrs: Attrs, types: Types) -> Weights:
    return NOTHING


def _no_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    return 0


@dataclass(frozen=True, slots=True)
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


# Shape rules


def pair(value: Any) -> tuple[int, int]:
    """(rows, columns) of a size that may be one number."""
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)


def padding(attrs: Attrs) -> tuple[int, int]:
    """Zero padding of a window: as given, else half of its reach, so that stride 1 keeps the size."""
    if attrs["pad"] is not None:
        return pair(attrs["pad"])
    dilation = attrs.get("dilation", 1)
    rows, columns = pair(attrs["k"])
    return dilation * (rows - 1) // 2, dilation * (columns - 1) // 2


def _windows(attrs: Attrs, x: MapType) -> tuple[int, int]:
    sizes = []
    dilation = attrs.get("dilation", 1)
    for size, k, stride, pad in zip(
        x[1:], pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), strict=True
    ):
        reach = dilation * (k - 1) + 1
        room = size + 2 * pad - reach
        if room < 0:
            raise ShapeProblem(
                "G302",
                f"a window of {reach} does not fit into {size} with padding {pad}",
                "use a smaller window, or fewer strides before it",
            )
        if attrs.get("ceil"):
            count = -(-room // stride) + 1
            # A window that would start in the padding alone is left out, as torch does.
            sizes.append(count - 1 if (count - 1) * stride >= size + pad else count)
        else:
            sizes.append(room // stride + 1)
    return sizes[0], sizes[1]


def _same(attrs: Attrs, types: Types) -> MapType:
    return types[0]


def _conv(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    out, groups = attrs["out"] or x.C, attrs["groups"]
    if x.C % groups or out % groups:
        raise ShapeProblem(
            "G303", f"{groups} groups do not divide {x.C} input and {out} output channels",
            "groups must divide both",
        )  # fmt: skip
    return MapType(out, *_windows(attrs, x))


def _conv_weights(attrs: Attrs, types: Types) -> Weights:
    C, out = types[0].C, attrs["out"] or types[0].C
    rows, columns = pair(attrs["k"])
    return Weights(out * (C // attrs["groups"]) * rows * columns + (out if attrs["bias"] else 0))


def _conv_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    rows, columns = pair(attrs["k"])
    groups: int = attrs["groups"]
    return out.size * (types[0].C // groups) * rows * columns


def _linear(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    if (x.H, x.W) != (1, 1):
        raise ShapeProblem(
            "G304", f"`linear` takes one value per channel, but its input is {x}",
            "pool first (`global_avg_pool -> linear(...)`), or use `conv(1, ...)` at every position",
        )  # fmt: skip
    return MapType(attrs["out"], 1, 1)


def _pool(attrs: Attrs, types: Types) -> MapType:
    rows, columns = pair(attrs["k"])
    for k, pad in zip((rows, columns), padding(attrs), strict=True):
        if pad > k // 2:
            raise ShapeProblem("G207", f"padding {pad} is more than half of a pooling window of {k}")
    return MapType(types[0].C, *_windows(attrs, types[0]))


# The axes of (B, C, H, W) that a word stands for.
REDUCED = {"channels": (1,), "space": (2, 3), "height": (2,), "width": (3,)}


def _reduced(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    C, H, W = (1 if axis in REDUCED[attrs["over"]] else size for axis, size in zip((1, 2, 3), x, strict=True))
    return MapType(C, H, W)


def _mean(attrs: Attrs, types: Types) -> MapType:
    x, groups = types[0], attrs["groups"]
    if groups == 1:
        return _reduced(attrs, types)
    if attrs["over"] != "channels":
        raise ShapeProblem("G205", "`groups` of `mean` are groups of channels, not of positions",
                           f"write mean(channels, groups={groups})")  # fmt: skip
    if x.C % groups:
        raise ShapeProblem("G303", f"{groups} groups do not divide {x.C} channels",
                           "groups must divide the channels")  # fmt: skip
    return MapType(groups, x.H, x.W)


def _slice(attrs: Attrs, types: Types) -> MapType:
    x, start, stop = types[0], attrs["start"], attrs["stop"]
    if not start < stop <= x.C:
        raise ShapeProblem("G207", f"there are no channels from {start} to before {stop} in {x}",
                           f"channels are counted from 0 to {x.C}")  # fmt: skip
    return MapType(stop - start, x.H, x.W)


def _pad_channels(attrs: Attrs, types: Types) -> MapType:
    x, out = types[0], attrs["out"]
    if out < x.C:
        raise ShapeProblem("G207", f"`pad_channels` adds channels, but {x} has more than {out}",
                           f"`conv(1, {out})` gives a map fewer channels")  # fmt: skip
    return MapType(out, x.H, x.W)


def _concat(attrs: Attrs, types: Types) -> MapType:
    for x in types[1:]:
        if x[1:] != types[0][1:]:
            raise ShapeProblem(
                "G305", f"`concat` needs maps of one height and width, not {types[0]} and {x}",
                "resize or stride one of them",
            )  # fmt: skip
    return MapType(sum(x.C for x in types), types[0].H, types[0].W)


_FITS = {
    "C": "`conv(1, channels)` gives a map another number of channels",
    "H": "give both the same strides, or bring one to the other's size: `resize(like=other)`",
    "W": "give both the same strides, or bring one to the other's size: `resize(like=other)`",
}


def broadcast(types: Types) -> MapType:
    """The shape of an element-wise result: each axis equal, or 1 in one of the operands."""
    out = []
    for axis, sizes in zip("CHW", zip(*types, strict=True), strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            listed = " and ".join(str(x) for x in types)
            raise ShapeProblem("G301", f"maps of {listed} do not fit together: {axis} differs", _FITS[axis])
        out.append(wide.pop() if wide else 1)
    return MapType(*out)


def _elementwise(attrs: Attrs, types: Types) -> MapType:
    return broadcast(types)


def _resize(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    if len(types) == 2:
        return MapType(x.C, types[1].H, types[1].W)
    if attrs["size"] is None:
        raise ShapeProblem("G201", "`resize` needs `like=map` or `size=`")
    return MapType(x.C, *pair(attrs["size"]))


def _padded(attrs: Attrs, types: Types) -> MapType:
    x, before, after = types[0], pair(attrs["before"]), pair(attrs["after"])
    return MapType(x.C, before[0] + x.H + after[0], before[1] + x.W + after[1])


def _subsampled(attrs: Attrs, types: Types) -> MapType:
    x, stride = types[0], attrs["stride"]
    return MapType(x.C, -(-x.H // stride), -(-x.W // stride))


def _matmul(attrs: Attrs, types: Types) -> MapType:
    a, b = types
    if a.H * a.W != b.C:
        raise ShapeProblem(
            "G307",
            f"`matmul` of {a} and {b}: {a.H * a.W} positions against {b.C} channels",
            "a map is a matrix of channels by positions; `transpose` swaps them",
        )
    return MapType(a.C, b.H, b.W)


def _transpose(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    return MapType(x.H * x.W, x.C, 1)


def _relative_attention(attrs: Attrs, types: Types) -> MapType:
    x, heads, key, value = types[0], attrs["heads"], attrs["key"], attrs["value"]
    if key % heads or value % heads:
        raise ShapeProblem("G303", f"{heads} heads do not divide {key} key and {value} value channels",
                           "the number of heads must divide both")  # fmt: skip
    channels = 2 * key + value
    if channels != x.C:
        raise ShapeProblem(
            "G301", f"`relative_attention` takes 2 * {key} + {value} channels, not {x}",
            f"`conv(1, {channels})` makes queries, keys and values",
        )  # fmt: skip
    return MapType(value, x.H, x.W)


def _relative_attention_macs(attrs: Attrs, types: Types, out: MapType) -> int:
    key: int = attrs["key"]
    positions = out.H * out.W
    # Queries with keys, weights with values, queries with both tables.
    return positions * (positions * (key + out.C) + 2 * key * (out.H + out.W - 1))


def _image(attrs: Attrs, types: Types) -> MapType:
    return MapType(attrs["channels"], attrs["height"], attrs["width"])


# The table

_K = Field("k", "size", REQUIRED)
_STRIDE = Field("stride", "size", 1)
_PAD = Field("pad", "size0")
_OVER = Field("over", ("channels", "space"), REQUIRED)
_ALONG = Field("over", tuple(REDUCED), REQUIRED)


def _activation(name: str, doc: str) -> Primitive:
    return Primitive(name, doc, (), _same)


_TABLE = (
    Primitive(
        "image", "The network's input: channels, height, width.",
        (Field("channels", "positive", REQUIRED), Field("height", "positive", REQUIRED),
         Field("width", "positive", REQUIRED)), _image, maps=0,
    ),
    Primitive(
        "conv", "Convolution; `out` is the input's channels unless given, `pad` keeps the size.",
        (_K, Field("out", "positive"), _STRIDE, Field("groups", "positive", 1),
         Field("dilation", "positive", 1), _PAD, Field("bias", "bool", False)),
        _conv, _conv_weights, _conv_macs,
    ),
    Primitive(
        "linear", "A dense layer over the channels of a map of one position.",
        (Field("out", "positive", REQUIRED), Field("bias", "bool", True)), _linear,
        lambda a, t: Weights(t[0].C * a["out"] + (a["out"] if a["bias"] else 0)),
        lambda a, t, out: t[0].C * out.C,
    ),
    Primitive(
        "batch_norm", "Batch normalisation; `affine` adds a learnable scale and shift per channel.",
        (Field("affine", "bool", True), Field("momentum", "number", 0.1),
         Field("eps", "number", 1e-5)), _same,
        lambda a, t: Weights(2 * t[0].C if a["affine"] else 0, 2 * t[0].C),
    ),
    Primitive("scale", "A learnable gain and shift per channel, which begin at these values.",
              (Field("gain", "number", 1), Field("shift", "number", 0)), _same,
              lambda a, t: Weights(2 * t[0].C)),
    Primitive("standardize",
              "Minus the mean, over the unbiased standard deviation plus `eps`; a single value gives 0.",
              (_OVER, Field("eps", "number", 1e-5)), _same),
    Primitive(
        "layer_norm",
        "Layer normalisation over the channels of each position, with a learnable gain and shift per"
        " channel.", (Field("eps", "number", 1e-5),), _same, lambda a, t: Weights(2 * t[0].C),
    ),
    Primitive("l2_norm", "Divided by the Euclidean norm, or by `eps` where that is larger.",
              (_OVER, Field("eps", "number", 1e-12)), _same),
    _activation("relu", "max(x, 0)."),
    _activation("sigmoid", "1 / (1 + exp(-x))."),
    _activation("tanh", "Hyperbolic tangent."),
    _activation("silu", "x * sigmoid(x)."),
    Primitive("softmax", "Softmax over the channels of a position or the positions of a channel.",
              (_OVER,), _same),
    Primitive("max_pool", "Maximum over a window; `ceil` keeps a last partial window.",
              (_K, _STRIDE, _PAD, Field("ceil", "bool", False)), _pool),
    Primitive("avg_pool", "Mean over a window; padding is not counted in the divisor.",
              (_K, _STRIDE, _PAD, Field("ceil", "bool", False)), _pool),
    Primitive("global_avg_pool", "Mean over all positions.", (),
              lambda a, t: MapType(t[0].C, 1, 1)),
    Primitive("global_max_pool", "Maximum over all positions.", (),
              lambda a, t: MapType(t[0].C, 1, 1)),
    Primitive("mean", "Mean over the channels, or those of each group, the positions, or one axis of them.",
              (_ALONG, Field("groups", "positive", 1)), _mean),
    Primitive("max", "Maximum over the channels, the positions, or one axis of them.", (_ALONG,), _reduced),
    Primitive("concat", "Maps one behind the other along the channels.", (), _concat, maps=None),
    Primitive("slice", "The channels from `start` to before `stop`.",
              (Field("start", "int0", REQUIRED), Field("stop", "positive", REQUIRED)), _slice),
    Primitive("repeat_channels", "Each channel `times` times, one behind the other.",
              (Field("times", "positive", REQUIRED),),
              lambda a, t: MapType(t[0].C * a["times"], t[0].H, t[0].W)),
    Primitive("pad_channels", "Channels of zeros up to `out`: half of them, rounded down, in front.",
              (Field("out", "positive", REQUIRED),), _pad_channels),
    Primitive("add", "Element-wise sum, written `+`.", (Field("constant", "number", 0),),
              _elementwise, maps=None),
    Primitive("subtract", "Element-wise difference, written `-`.", (), _elementwise, maps=2),
    Primitive("multiply", "Element-wise product, written `*`.", (Field("constant", "number", 1),),
              _elementwise, maps=None),
    Primitive("divide", "Element-wise quotient, written `/`.", (), _elementwise, maps=2),
    Primitive("resize",
              "To the height and width of the map `like`, or `size`: by `nearest`, `bilinear`,"
              " `bilinear_corners` (corners stay corners) or `area`.",
              (Field("like", "map"), Field("size", "size"),
               Field("mode", ("nearest", "bilinear", "bilinear_corners", "area"), "nearest")), _resize),
    Primitive("pad_space", "Zeros around a map: `before` its first rows and columns, `after` its last.",
              (Field("before", "size0", 0), Field("after", "size0", 0)), _padded),
    Primitive("subsample", "Every `stride`-th row and column from `offset` on; rounds the size up.",
              (Field("stride", "positive", 2), Field("offset", "int0", 0)), _subsampled),
    Primitive("zeros", "A map of zeros, subsampled by `stride`.",
              (Field("stride", "positive", 1),), _subsampled),
    Primitive("matmul", "Matrix product of two maps, each a matrix of channels by positions.", (),
              _matmul, macs=lambda a, t, out: t[0].size * t[1].H * t[1].W, maps=2),
    Primitive("transpose", "Channels and positions swapped: CxHxW becomes (H*W)xCx1.", (),
              _transpose),
    Primitive(
        "relative_attention",
        "Self-attention of all positions, with learned biases for their distance in rows and in columns;"
        " takes queries, keys (`key` channels each) and values, head by head.",
        (Field("key", "positive", REQUIRED), Field("value", "positive", REQUIRED),
         Field("heads", "positive", 8)), _relative_attention,
        lambda a, t: Weights(2 * (t[0].H + t[0].W - 1) * (a["key"] // a["heads"])), _relative_attention_macs,
        sized=True,
    ),
    Primitive("dropout", "In training, sets values to zero with probability p and scales the rest.",
              (Field("p", "number", 0.5),), _same),
    Primitive("drop_path",
              "In training, drops whole samples with the scheduled probability; left out of a"
              " pipeline whose earlier stages include the identity.", (), _same),
    Primitive("identity", "The map itself.", (), _same),
)  # fmt: skip

PRIMITIVES: dict[str, Primitive] = {primitive.name: primitive for primitive in _TABLE}
