"""The shape rules of the primitives, each a function of arguments and of maps (C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


Attrs = Mapping[str, Any]
Types = Sequence[MapType]


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
    for size, k, stride, pad in zip(x[1:], pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), strict=True):
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


def same(attrs: Attrs, types: Types) -> MapType:
    return types[0]


def clamped(attrs: Attrs, types: Types) -> MapType:
    low, high = attrs["min"], attrs["max"]
    if low is None and high is None:
        raise ShapeProblem("G201", "`clamp` needs `min=` or `max=`")
    if low is not None and high is not None and low > high:
        raise ShapeProblem("G207", f"`clamp` has nothing between {low:g} and {high:g}", "write the smaller bound first")
    return types[0]


def conv(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    out, groups = attrs["out"] or x.C, attrs["groups"]
    if x.C % groups or out % groups:
        raise ShapeProblem(
            "G303", f"{groups} groups do not divide {x.C} input and {out} output channels", "groups must divide both"
        )
    return MapType(out, *_windows(attrs, x))


def standardized_conv(attrs: Attrs, types: Types) -> MapType:
    rows, columns = pair(attrs["k"])
    found = conv(attrs, types)
    if types[0].C // attrs["groups"] * rows * columns == 1:
        raise ShapeProblem("G207", "a single weight per channel has no deviation", "use `conv`, or a larger window")
    return found


def transposed_padding(attrs: Attrs) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a transposed window cuts off on every side, and rows and columns added at the end.

    As given, else so that the result is `stride` times as large as the map.
    """
    found = []
    for k, stride in zip(pair(attrs["k"]), pair(attrs["stride"]), strict=True):
        over = attrs["dilation"] * (k - 1) + 1 - stride
        # torch adds less than a stride, or less than a dilation.
        cut = max(0, -(-over // 2)) if max(stride, attrs["dilation"]) > 1 else over // 2
        found.append((cut, 2 * cut - over if max(stride, attrs["dilation"]) > 1 else 0))
    if attrs["pad"] is not None:
        return pair(attrs["pad"]), pair(attrs["extra"] or 0)
    (top, bottom), (left, right) = found
    return (top, left), (bottom, right) if attrs["extra"] is None else pair(attrs["extra"])


def transposed_conv(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    out, groups, dilation = attrs["out"] or x.C, attrs["groups"], attrs["dilation"]
    if x.C % groups or out % groups:
        raise ShapeProblem(
            "G303", f"{groups} groups do not divide {x.C} input and {out} output channels", "groups must divide both"
        )
    sizes = []
    pads, extras = transposed_padding(attrs)
    for size, k, stride, pad, extra in zip(x[1:], pair(attrs["k"]), pair(attrs["stride"]), pads, extras, strict=True):
        if extra >= max(stride, dilation):
            raise ShapeProblem("G207", f"`extra` is less than the stride or the dilation, not {extra}")
        sizes.append((size - 1) * stride - 2 * pad + dilation * (k - 1) + 1 + extra)
    if min(sizes) < 1:
        raise ShapeProblem("G302", f"padding {pads[0]} leaves nothing of {x}", "pad less, or use a larger window")
    return MapType(out, sizes[0], sizes[1])


def group_norm(attrs: Attrs, types: Types) -> MapType:
    return grouped(attrs["groups"], types[0])


def grouped(groups: int, x: MapType) -> MapType:
    """A map whose channels fall into groups of one size."""
    if x.C % groups:
        raise ShapeProblem("G303", f"{groups} groups do not divide {x.C} channels", "groups must divide the channels")
    return x


def pixel_shuffle(attrs: Attrs, types: Types) -> MapType:
    x, r = types[0], attrs["r"]
    grouped(r * r, x)
    return MapType(x.C // (r * r), x.H * r, x.W * r)


def pixel_unshuffle(attrs: Attrs, types: Types) -> MapType:
    x, r = types[0], attrs["r"]
    if x.H % r or x.W % r:
        raise ShapeProblem("G302", f"squares of {r}x{r} do not fill {x.H}x{x.W}", "resize it, or `pad_space`")
    return MapType(x.C * r * r, x.H // r, x.W // r)


def sinusoids(attrs: Attrs, types: Types) -> MapType:
    x, channels = types[0], attrs["channels"] or types[0].C
    if channels % 4:
        raise ShapeProblem("G207", f"sines and cosines of rows and columns are 4, 8, 12 ... channels, not {channels}")
    return MapType(channels, x.H, x.W)


def linear(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    if (x.H, x.W) != (1, 1):
        raise ShapeProblem(
            "G304",
            f"`linear` takes one value per channel, but its input is {x}",
            "pool first (`global_avg_pool -> linear(...)`), or use `conv(1, ...)` at every position",
        )
    return MapType(attrs["out"], 1, 1)


def pool(attrs: Attrs, types: Types) -> MapType:
    rows, columns = pair(attrs["k"])
    for k, pad in zip((rows, columns), padding(attrs), strict=True):
        if pad > k // 2:
            raise ShapeProblem("G207", f"padding {pad} is more than half of a pooling window of {k}")
    return MapType(types[0].C, *_windows(attrs, types[0]))


# The axes of (B, C, H, W) that a word stands for.
REDUCED = {"channels": (1,), "space": (2, 3), "height": (2,), "width": (3,)}


def reduced(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    C, H, W = (1 if axis in REDUCED[attrs["over"]] else size for axis, size in zip((1, 2, 3), x, strict=True))
    return MapType(C, H, W)


def mean(attrs: Attrs, types: Types) -> MapType:
    x, groups = types[0], attrs["groups"]
    if groups == 1:
        return reduced(attrs, types)
    if attrs["over"] != "channels":
        raise ShapeProblem(
            "G205",
            "`groups` of `mean` are groups of channels, not of positions",
            f"write mean(channels, groups={groups})",
        )
    grouped(groups, x)
    return MapType(groups, x.H, x.W)


def sliced(attrs: Attrs, types: Types) -> MapType:
    x, start, stop = types[0], attrs["start"], attrs["stop"]
    if not start < stop <= x.C:
        raise ShapeProblem(
            "G207",
            f"there are no channels from {start} to before {stop} in {x}",
            f"channels are counted from 0 to {x.C}",
        )
    return MapType(stop - start, x.H, x.W)


def pad_channels(attrs: Attrs, types: Types) -> MapType:
    x, out = types[0], attrs["out"]
    if out < x.C:
        raise ShapeProblem(
            "G207",
            f"`pad_channels` adds channels, but {x} has more than {out}",
            f"`conv(1, {out})` gives a map fewer channels",
        )
    return MapType(out, x.H, x.W)


def concat(attrs: Attrs, types: Types) -> MapType:
    for x in types[1:]:
        if x[1:] != types[0][1:]:
            raise ShapeProblem(
                "G305",
                f"`concat` needs maps of one height and width, not {types[0]} and {x}",
                "resize or stride one of them",
            )
    return MapType(sum(x.C for x in types), types[0].H, types[0].W)


_FITS = {
    "C": "`conv(1, channels)` gives a map another number of channels",
    "H": "give both the same strides, or bring one to the other's size: `resize(like=other)`",
    "W": "give both the same strides, or bring one to the other's size: `resize(like=other)`",
}


def broadcast(types: Types) -> MapType:
    """The shape of an element-wise result: each axis equal, or 1 in one of the operands."""
    if types.count(types[0]) == len(types):
        return types[0]
    out = []
    for axis, sizes in zip("CHW", zip(*types, strict=True), strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            listed = " and ".join(str(x) for x in types)
            raise ShapeProblem("G301", f"maps of {listed} do not fit together: {axis} differs", _FITS[axis])
        out.append(wide.pop() if wide else 1)
    return MapType(*out)


def elementwise(attrs: Attrs, types: Types) -> MapType:
    return broadcast(types)


def resize(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    if len(types) == 2:
        return MapType(x.C, types[1].H, types[1].W)
    if attrs["size"] is None:
        raise ShapeProblem("G201", "`resize` needs `like=map` or `size=`")
    return MapType(x.C, *pair(attrs["size"]))


def pad_space(attrs: Attrs, types: Types) -> MapType:
    x, before, after = types[0], pair(attrs["before"]), pair(attrs["after"])
    return MapType(x.C, before[0] + x.H + after[0], before[1] + x.W + after[1])


def subsample(attrs: Attrs, types: Types) -> MapType:
    x, stride = types[0], attrs["stride"]
    return MapType(x.C, -(-x.H // stride), -(-x.W // stride))


def matmul(attrs: Attrs, types: Types) -> MapType:
    a, b = types
    if a.H * a.W != b.C:
        raise ShapeProblem(
            "G307",
            f"`matmul` of {a} and {b}: {a.H * a.W} positions against {b.C} channels",
            "a map is a matrix of channels by positions; `transpose` swaps them",
        )
    return MapType(a.C, b.H, b.W)


def transpose(attrs: Attrs, types: Types) -> MapType:
    x = types[0]
    return MapType(x.H * x.W, x.C, 1)


def relative_attention(attrs: Attrs, types: Types) -> MapType:
    x, heads, key, value = types[0], attrs["heads"], attrs["key"], attrs["value"]
    if key % heads or value % heads:
        raise ShapeProblem(
            "G303",
            f"{heads} heads do not divide {key} key and {value} value channels",
            "the number of heads must divide both",
        )
    channels = 2 * key + value
    if channels != x.C:
        raise ShapeProblem(
            "G301",
            f"`relative_attention` takes 2 * {key} + {value} channels, not {x}",
            f"`conv(1, {channels})` makes queries, keys and values",
        )
    return MapType(value, x.H, x.W)


def image(attrs: Attrs, types: Types) -> MapType:
    return MapType(attrs["channels"], attrs["height"], attrs["width"])
