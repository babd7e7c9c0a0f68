#!/usr/bin/env bash
# Two readers of one JPEG disagree on which way is up when the orientation stands only in XMP.
#
# Some editors write `tiff:Orientation` into the XMP packet and no EXIF. Pillow (here 11.3.0) counts it: the dictionary
# of getexif() gets an Orientation that no EXIF block holds, and ImageOps.exif_transpose() turns the picture. OpenCV
# (here opencv-python-headless 4.11.0.86), whose imread() turns pictures by EXIF unless told otherwise, does not look at
# XMP. So a training set read by a tool with Pillow (diffusers' load_image) and by one with OpenCV differs by a quarter
# turn, while the same picture with the number in EXIF is turned alike by both.
#
# Seen on Debian 12, Python 3.11, x86-64:
#   orientation in EXIF: Pillow (8, 16), OpenCV (8, 16)
#   orientation in XMP:  Pillow (8, 16), OpenCV (16, 8)
#
# Exits with 1 when a reader behaves otherwise, with 2 when the packages cannot be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q pillow==11.3.0 opencv-python-headless==4.11.0.86 \
  "numpy==2.2.6" || exit 2
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys
import cv2
from PIL import Image, ImageOps

picture = Image.new("RGB", (16, 8), (200, 40, 40))
exif = Image.Exif()
exif[0x0112] = 6
picture.save("exif.jpg", exif=exif)
picture.save("xmp.jpg", xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
             b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
             b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>')
seen = {}
for name in ("exif", "xmp"):
    with Image.open(name + ".jpg") as opened:
        by_pillow = ImageOps.exif_transpose(opened).size
    height, width = cv2.imread(name + ".jpg").shape[:2]
    seen[name] = by_pillow, (width, height)
print("orientation in EXIF: Pillow {}, OpenCV {}".format(*seen["exif"]))
print("orientation in XMP:  Pillow {}, OpenCV {}".format(*seen["xmp"]))
sys.exit(seen != {"exif": ((8, 16), (8, 16)), "xmp": ((8, 16), (16, 8))})
P
