"""Images inside SVG: PNG files as data, written by zlib alone."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, int, int]

# From cold to hot, evenly spaced.
_HEAT: tuple[Colour, ...] = ((33, 56, 148), (52, 152, 219), (126, 201, 121), (246, 203, 69), (201, 42, 42))


def png(rows: Sequence[Sequence[Colour]]) -> bytes:
    """A PNG file of rows of colours, 0 to 255 each."""
    height, width = len(rows), len(rows[0])
    raw = b"".join(b"\0" + bytes(value for colour in row for value in colour) for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def image(rows: Sequence[Sequence[Colour]], x: float, y: float, size: float) -> str:
    """An SVG element that shows the pixels, unsmoothed, in a square."""
    data = base64.b64encode(png(rows)).decode()
    return (
        f'<image x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" image-rendering="pixelated"'
        f' href="data:image/png;base64,{data}"/>'
    )


def heat(value: float) -> Colour:
    """Blue for 0, red for 1."""
    place = min(max(value, 0.0), 1.0) * (len(_HEAT) - 1)
    low = min(int(place), len(_HEAT) - 2)
    share = place - low
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(_HEAT[low], _HEAT[low + 1], strict=True))
    return red, green, blue


def blended(first: Colour, second: Colour, share: float) -> Colour:
    """The first colour with a share of the second."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue
