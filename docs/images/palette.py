#!/usr/bin/env python3
"""Writes a PNG of 8-bit RGB anew with a palette of at most 256 colours: palette.py FILE."""

import struct
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Dict, List, Tuple

Colour = Tuple[int, int, int]


def chunks(data: bytes) -> List[Tuple[bytes, bytes]]:
    """The chunks of a PNG, each with its type."""
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def rows(packed: bytes, width: int, height: int) -> List[bytearray]:
    """The lines of the picture, without the filters of PNG."""
    raw, size, lines = zlib.decompress(packed), 3 * width, [bytearray(3 * width)]
    for number in range(height):
        start = number * (size + 1)
        kind, line, above = raw[start], bytearray(raw[start + 1 : start + 1 + size]), lines[-1]
        for at in range(size if kind else 0):
            left = line[at - 3] if at >= 3 else 0
            up, corner = above[at], above[at - 3] if at >= 3 else 0
            if kind == 4:
                guess = left + up - corner
                near = [abs(guess - left), abs(guess - up), abs(guess - corner)]
                add = (left, up, corner)[near.index(min(near))]
            else:
                add = (0, left, up, (left + up) // 2)[kind]
            line[at] = (line[at] + add) & 255
        lines.append(line)
    return lines[1:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main(path: Path) -> None:
    parts = chunks(path.read_bytes())
    width, height, depth, form = struct.unpack(">IIBB", parts[0][1][:10])
    if (depth, form) != (8, 2):
        sys.exit(f"{path}: expected a PNG of 8-bit RGB, found depth {depth} and colour type {form}")
    lines = rows(b"".join(data for kind, data in parts if kind == b"IDAT"), width, height)
    # Shades of the edges of letters would crowd rarer colours out.
    coarse = bytes(min(255, (value + 4) // 8 * 8) for value in range(256))
    lines = [line.translate(coarse) for line in lines]
    pixels = [[(line[at], line[at + 1], line[at + 2]) for at in range(0, 3 * width, 3)] for line in lines]
    counts = Counter(pixel for line in pixels for pixel in line)
    palette: List[Colour] = [colour for colour, _ in counts.most_common(256)]
    index: Dict[Colour, int] = {colour: at for at, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            near = min(palette, key=lambda one: sum((here - there) ** 2 for here, there in zip(one, colour)))
            index[colour] = index[near]
    packed = zlib.compress(b"".join(b"\0" + bytes(index[pixel] for pixel in line) for line in pixels), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = b"".join(bytes(colour) for colour in palette)
    made = [chunk(b"IHDR", header), chunk(b"PLTE", colours), chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(made))


main(Path(sys.argv[1]))
