"""Pixels of the PNG files that the program writes (8-bit RGB), read with the standard library alone."""
import struct
import zlib


class Pixels:
    def __init__(self, data):
        assert data.startswith(b"\x89PNG\r\n\x1a\n"), data[:16]
        at, packed = 8, b""
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + length]
            if kind == b"IHDR":
                self.width, self.height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
                assert (depth, colour, interlace) == (8, 2, 0)
            if kind == b"IDAT":
                packed += body
            at += 12 + length
        raw, stride = zlib.decompress(packed), 3 * self.width
        self.rows, above = [], bytes(stride)
        for y in range(self.height):
            start = y * (stride + 1)
            above = self._unfiltered(raw[start], bytearray(raw[start + 1:start + 1 + stride]), above)
            self.rows.append(bytes(above))

    @staticmethod
    def _unfiltered(kind, row, above):
        for i in range(len(row)):
            left = row[i - 3] if i >= 3 else 0
            corner = above[i - 3] if i >= 3 else 0
            up = above[i]
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda v: abs(guess - v))
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        return row

    @property
    def size(self):
        return self.width, self.height

    def crop(self, x, y, width, height):
        return [row[3 * x:3 * (x + width)] for row in self.rows[y:y + height]]

    def is_white(self, x, y, width, height):
        return all(set(row) == {255} for row in self.crop(x, y, width, height))
