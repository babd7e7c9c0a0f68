#!/usr/bin/env python3
"""docs/pictures/mask.png, the mask of README's inpainting example: light where a hat goes.  make_mask.py FILE"""
import pathlib
import struct
import sys
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


SIZE = 128
rows = bytearray()
for y in range(SIZE):
    rows.append(0)
    rows += bytes(255 if ((x - 64) / 44) ** 2 + ((y - 30) / 28) ** 2 <= 1 else 0 for x in range(SIZE))
pathlib.Path(sys.argv[1]).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0))
                                      + chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + chunk(b"IEND", b""))
