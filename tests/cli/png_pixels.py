"""What a PNG shows, for tests that compare pictures."""
import struct
import zlib


def pixels(path):
    """The picture data, unpacked, without the texts beside them."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    return zlib.decompress(packed)
