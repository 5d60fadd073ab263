#!/usr/bin/env bash
# Pillow 13.0.0 opens three kinds of valid TIFF without an error or a warning, and gives other values than they hold.
#
# 1. 16-bit gray with PhotometricInterpretation 0 (white is zero, as scanners and X-rays have it) comes out as its own negative: 0,
#    which is white, is read as 0, black. With 8 bits the same tag is honored.
# 2. RGB of 16 bits in planes (PlanarConfiguration 2), uncompressed, comes out garbled: (9, 73, 137) as (4, 68, 132), for example.
#    With 8 bits, or compressed, the colors are right.
# 3. Big-endian floats and signed 16-bit numbers that are compressed (LZW, through libtiff) have their bytes swapped twice: 0.5 is
#    read as 8.8e-44. Uncompressed, or little-endian, they are right; so are big-endian unsigned 16-bit numbers.
#
# tifffile 2026.3.3 reads the values of all of them as written (and leaves the first's meaning to its caller). A user would guess the
# right values, or an error. Exits 0 while Pillow does so, 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
venv/bin/python - <<'EOF'
import struct
import sys

import numpy as np
import tifffile
from PIL import Image


def tiff(name, values, bits, sample_format, order, photometric=1, compression=1):
    """A gray TIFF of one strip, tag by tag."""
    data = values.tobytes()
    if compression == 5:  # LZW that never uses its table: nine bits for each byte, begun anew before codes grow
        codes = [code for start in range(0, len(data), 200) for code in (256, *data[start : start + 200])] + [257]
        data = np.packbits([code >> bit & 1 for code in codes for bit in range(8, -1, -1)]).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: photometric, 273: 134, 277: 1, 278: height}
    tags |= {279: len(data), 339: sample_format}
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    magic = b"II*\0" if order == "<" else b"MM\0*"
    with open(name, "wb") as file:
        file.write(magic + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + data)


def both(name):
    return np.asarray(Image.open(name)), tifffile.imread(name)


same = np.ones((8, 8))
wrong = []

tiff("white8.tif", (same * 0).astype("u1"), 8, 1, "<", photometric=0)
tiff("white16.tif", (same * 0).astype("<u2"), 16, 1, "<", photometric=0)
eight, sixteen = both("white8.tif")[0], both("white16.tif")[0]
print(f"white is zero, value 0: of 8 bits read as {eight[0, 0]} (white: 255), of 16 bits as {sixteen[0, 0]} (white: 65535)")
wrong.append(eight[0, 0] == 255 and sixteen[0, 0] == 0)

ramp = np.arange(64, dtype=np.uint16).reshape(8, 8)
planes = np.stack([ramp, ramp + 64, ramp + 128])  # red, green, blue
tifffile.imwrite("planes8.tif", planes.astype(np.uint8), photometric="rgb", planarconfig="separate")
tifffile.imwrite("planes16.tif", planes * 257, photometric="rgb", planarconfig="separate")
expected = np.moveaxis(planes, 0, -1)
eight, sixteen = both("planes8.tif")[0], both("planes16.tif")[0]
pixel = (1, 1)
print(f"RGB {expected[pixel].tolist()} in planes: of 8 bits read as {eight[pixel].tolist()}, of 16 bits as {sixteen[pixel].tolist()}")
wrong.append((eight == expected).all() and not (sixteen == expected).all())

for what, dtype, bits, sample_format, value in (("float", "f4", 32, 3, 0.5), ("int16", "i2", 16, 2, 1000)):
    found = {}
    for order in "<>":
        for compression in (1, 5):
            name = f"{what}{ord(order)}{compression}.tif"
            tiff(name, (same * value).astype(order + dtype), bits, sample_format, order, compression=compression)
            found[order, compression] = np.asarray(Image.open(name))[0, 0]
    right = [found["<", 1], found["<", 5], found[">", 1]]
    print(f"{what} {value}: read as {', '.join(map(str, right))}, and big-endian with LZW as {found['>', 5]}")
    wrong.append(all(number == value for number in right) and found[">", 5] != value)

sys.exit(not all(wrong))
EOF
