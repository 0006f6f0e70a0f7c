"""Single layers and library modules as text, for a map of a given shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from generated.writing import LARGEST, MOST_CHANNELS, Drawn, Writing, shape, written

from genolang.primitives import MapType

Layer = Callable[[Writing, MapType], Drawn | None]


def divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]


def made(name: str, x: MapType, **attrs: Any) -> Drawn | None:
    out = shape(name, attrs, x)
    return None if out is None else (written(name, attrs), out)


def conv(w: Writing, x: MapType) -> Drawn | None:
    groups = w.one([1, *divisors(x.C)])
    out = groups * w.number(1, max(1, min(8, MOST_CHANNELS) // groups))
    k, rest = w.pair(1, 3), {}
    if w.rarely():
        k = 5
    if w.rarely():
        rest["stride"] = w.pair(1, 2)
    if w.rarely():
        rest["dilation"] = 2
    if w.rarely():
        rest["pad"] = w.pair(0, 2)
    if w.rarely():
        rest["init"] = w.one(["he_normal", "lecun_uniform", "trunc_normal(0.5)", "orthogonal", "0.25"])
    kind = "standardized_conv" if w.rarely() else "conv"
    return made(kind, x, k=k, out=out, groups=groups, bias=w.whether(), **rest)


def transposed_conv(w: Writing, x: MapType) -> Drawn | None:
    groups = w.one([1, *divisors(x.C)])
    out = groups * w.number(1, max(1, min(8, MOST_CHANNELS) // groups))
    rest: dict[str, Any] = {"stride": w.pair(1, 2)} if w.whether() else {}
    if w.rarely():
        rest["dilation"] = 2
    if w.rarely():
        rest |= {"pad": w.pair(0, 1), "extra": w.number(0, 1)}
    return made("transposed_conv", x, k=w.pair(1, 3), out=out, groups=groups, bias=w.whether(), **rest)


def group_norm(w: Writing, x: MapType) -> Drawn | None:
    return made("group_norm", x, groups=w.one(divisors(x.C)), affine=w.whether(), eps=w.one([1e-5, 0.001]))


def parameter(w: Writing, x: MapType) -> Drawn | None:
    sizes = [w.one([1, size]) for size in x]
    sign, init = w.one([("+", 0), ("*", 0.5)])
    return f"(identity {sign} {written('parameter', {'shape': tuple(sizes), 'init': init})})", x


def placed(w: Writing, x: MapType) -> Drawn | None:
    if w.whether():
        return "coordinates", MapType(2, x.H, x.W)
    return made("sinusoids", x, channels=4 * w.number(1, 2), temperature=w.one([10, 10000]))


def shuffled(w: Writing, x: MapType) -> Drawn | None:
    r = w.number(1, 2)
    name = w.one(["pixel_shuffle", "pixel_unshuffle", "channel_shuffle"])
    return made(name, x, **({"groups": w.one(divisors(x.C))} if name == "channel_shuffle" else {"r": r}))


def adaptive_max_pool(w: Writing, x: MapType) -> Drawn | None:
    return made("adaptive_max_pool", x, size=(w.number(1, 5), w.number(1, 5)))


def linear(w: Writing, x: MapType) -> Drawn | None:
    return made("linear", x, out=w.number(1, 8), bias=w.whether())


def batch_norm(w: Writing, x: MapType) -> Drawn | None:
    return made("batch_norm", x, affine=w.whether(), momentum=w.one([0.1, 0.25, 1]), eps=w.one([1e-5, 0.001]))


def pool(kind: str) -> Layer:
    def layer(w: Writing, x: MapType) -> Drawn | None:
        k = w.pair(1, 3)
        rest: dict[str, Any] = {"stride": w.pair(1, 2)} if w.whether() else {}
        if w.rarely():
            rest["pad"] = w.number(0, 1)
        if kind == "avg_pool" and w.rarely():
            rest["count_pad"] = True
        return made(kind, x, k=k, ceil=w.rarely(), **rest)

    return layer


def over(name: str, words: tuple[str, ...]) -> Layer:
    def layer(w: Writing, x: MapType) -> Drawn | None:
        word = w.one(words)
        out = shape(name, {"over": word}, x)
        return None if out is None else (f"{name}({word})", out)

    return layer


def mean_of_groups(w: Writing, x: MapType) -> Drawn | None:
    groups = w.one(divisors(x.C))
    out = shape("mean", {"over": "channels", "groups": groups}, x)
    return None if out is None else (f"mean(channels, groups={groups})", out)


def sliced(w: Writing, x: MapType) -> Drawn | None:
    start = w.number(0, x.C - 1)
    return made("slice", x, start=start, stop=w.number(start + 1, x.C))


def repeated(w: Writing, x: MapType) -> Drawn | None:
    return made("repeat_channels", x, times=w.number(1, 3))


def padded_channels(w: Writing, x: MapType) -> Drawn | None:
    return made("pad_channels", x, out=x.C + w.number(0, 3))


def padded_space(w: Writing, x: MapType) -> Drawn | None:
    return made("pad_space", x, before=w.pair(0, 1), after=w.pair(0, 2))


def resized(w: Writing, x: MapType) -> Drawn | None:
    modes = ("nearest", "bilinear", "bilinear_corners", "area")
    return made("resize", x, size=(w.number(1, LARGEST), w.number(1, LARGEST)), mode=w.one(modes))


def subsampled(w: Writing, x: MapType) -> Drawn | None:
    return made("subsample", x, stride=w.number(1, 3), offset=w.number(0, 2))


def zeros(w: Writing, x: MapType) -> Drawn | None:
    return made("zeros", x, stride=w.number(1, 2))


def scale(w: Writing, x: MapType) -> Drawn | None:
    return made("scale", x, gain=w.one([1, 0, 0.5]), shift=w.one([0, 1, -0.5]))


def relative_attention(w: Writing, x: MapType) -> Drawn | None:
    heads = w.number(1, 2)
    key, value = heads * w.number(1, 2), heads * w.number(1, 3)
    return f"conv(1, {2 * key + value}) -> relative_attention({key}, {value}, heads={heads})", MapType(value, x.H, x.W)


# Exponentials, logarithms, roots and powers stand behind what keeps numbers and gradients in bounds.
ACTIVATED = (
    "gelu", "gelu(approximate=true)", "hard_swish", "hard_sigmoid", "leaky_relu", "leaky_relu(slope=0.3)",
    "prelu", "prelu(slope=-0.5)", "prelu(shared=true)", "elu", "elu(alpha=0.5)", "mish", "softplus", "softplus(beta=3)",
    "sin", "cos", "tanh -> exp", "softplus -> log", "(softplus + 0.1) -> sqrt", "abs", "clamp(-1, 1.5)", "clamp(min=-0.5)",
    "clamp(max=1/3)", "tanh -> power(2)", "(softplus + 0.1) -> power(-0.5)", "tanh -> power(3)",
)  # fmt: skip


def activation(w: Writing, x: MapType) -> Drawn:
    return w.one(ACTIVATED), x


def plain(*texts: str) -> Layer:
    """Layers and chains that keep the shape of any map."""
    return lambda w, x: (w.one(texts), x)


def single(name: str) -> Layer:
    return lambda w, x: made(name, x)


SHAPED: tuple[Layer, ...] = (
    conv, plain("relu", "sigmoid", "tanh", "silu", "identity"), activation, batch_norm, conv, linear,
    pool("max_pool"), pool("avg_pool"), single("global_avg_pool"), single("global_max_pool"),
    over("mean", ("channels", "space", "height", "width")), over("max", ("channels", "space", "height", "width")),
    transposed_conv, group_norm, parameter, placed, shuffled, adaptive_max_pool, mean_of_groups, sliced, repeated, padded_channels, padded_space, resized, subsampled, zeros, scale,
    over("standardize", ("space", "channels")), over("l2_norm", ("channels", "space")),
    over("softmax", ("channels", "space")), single("layer_norm"), single("transpose"), relative_attention,
    plain("single_precision", "dropout(0.25)", "drop_path", "dropout"),
)  # fmt: skip

# Module of the library and text of what takes a map of any size and keeps its shape. `C` in the middle of a
# pipeline would be the channels of its first map, so a number stands there.
ANYWHERE: tuple[tuple[str, str], ...] = (
    ("", "relu"), ("", "conv(3)"), ("", "batch_norm"), ("", "conv(1, bias=true)"), ("", "conv(3, groups={C})"),
    ("", "sigmoid"), ("", "identity"), ("", "gelu"), ("", "prelu"), ("", "hard_swish"), ("", "leaky_relu"), ("", "scale(gain=0.5)"), ("", "standardize(space)"), ("", "layer_norm"),
    ("", "drop_path"), ("", "identity * (global_avg_pool -> linear({C}) -> sigmoid)"),
    ("", "identity * (conv(3, 1, bias=true) -> sigmoid)"), ("", "conv(3, groups={C}) -> conv(1) -> batch_norm"),
    ("ops", "skip"), ("ops", "none"), ("ops", "sep_conv(3)"), ("ops", "dil_conv(3)"), ("ops", "max_pool(3)"),
    ("ops", "avg_pool(3)"), ("ops", "conv_7x1_1x7"), ("ops", "norm"), ("ops", "relu_conv_bn({C})"),
    ("attention", "se(r=2)"), ("attention", "ge(r=2)"), ("attention", "bam(r=2, d=1)"),
    ("attention", "bam_code(r=2, d=2)"), ("attention", "cbam(r=2, k=3)"), ("attention", "cbam_code(r=2)"),
    ("attention", "double_attention"), ("attention", "masked(by=ones)"), ("attention", "masked(by=se_mask(r=2))"),
    ("plugins", "ge_minus"), ("plugins", "ge_minus(extent=2)"), ("plugins", "ge_theta"), ("plugins", "ge_theta(extent=2)"),
    ("plugins", "ge_plus(extent=2)"), ("plugins", "ge_minus_code"), ("plugins", "eca"), ("plugins", "sge(groups=1)"),
    ("plugins", "sge(groups={C})"), ("plugins", "dia(r=2)"), ("plugins", "non_local"),
    ("masks", "residual_attention(unit=conv(3) -> relu, levels=1)"), ("masks", "identity * mask_gate"),
    ("masks", 'identity * mask_gate("channel")'), ("masks", 'identity * mask_gate("spatial")'),
    ("masks", 'identity * (1 + mask_gate("layer_norm"))'), ("masks", 'identity * (1 + mask_gate("spatial"))'),
    ("apnas", "channel_score(r=2)"), ("apnas", "channel_score(both=true, gated=true)"), ("apnas", "spatial_score(k=3)"),
    ("apnas", "spatial_score(k=3, gated=true)"), ("apnas", "bottom_up_top_down"), ("apnas", "bottom_up_top_down(below=true)"),
    ("apnas", "point_conv"), ("augmented", "aa_conv(3, {C} + 2, value=0.5, heads=1, least=2) -> conv(1, {C})"),
    ("augmented", "aa_conv(3, 4, value=0.5, heads=2, least=1, pool=2) -> conv(1, {C})"),
)  # fmt: skip


def anywhere(w: Writing, x: MapType | None = None) -> str:
    """What keeps the shape of the map `x`, or of any map."""
    module, text = w.one(ANYWHERE if x else [a for a in ANYWHERE if "{C}" not in a[1]])
    text = text.replace("{C}", str(x.C)) if x else text
    return w.use(module, text) if module else text


def layer(w: Writing, x: MapType) -> Drawn:
    """One layer that takes the map."""
    if w.whether():
        return anywhere(w, x), x
    return w.one(SHAPED)(w, x) or ("relu", x)
