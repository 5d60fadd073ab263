#!/usr/bin/env bash
# Pillow 13.0.0 reads FITS without its BZERO and BSCALE, silently: unsigned 16-bit pictures are 32768 off, scaled ones out of scale.
#
# FITS has no unsigned 16-bit numbers: the standard (4.0, 5.2.5) writes them as signed with BZERO = 32768, as every CCD camera does.
# The value is BZERO + BSCALE * what is stored. Pillow gives what is stored, as unsigned ("I;16"): a black pixel, stored as -32768,
# is read as 32768, mid gray, and one a bit above the middle, 33000, as 232, nearly black, so that order is lost. With BSCALE = 0.001
# and BZERO = 0.5, stored 500 stays 500, not 1.0.
#
# A user would guess the physical values, as astropy gives them, or an error. Exits 0 while Pillow does so, 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pillow==13.0.0 numpy==2.4.6 astropy
venv/bin/python - <<'EOF'
import sys

import numpy as np
from astropy.io import fits
from PIL import Image

values = np.array([[0, 33000, 65535]], np.uint16)
fits.writeto("unsigned.fits", values)
header = fits.Header({"BZERO": 0.5, "BSCALE": 0.001})
scaled = fits.PrimaryHDU(np.array([[-500, 0, 500]], np.int16))
scaled.header["BZERO"], scaled.header["BSCALE"] = 0.5, 0.001
scaled.writeto("scaled.fits")

found = {}
for name in ("unsigned.fits", "scaled.fits"):
    found[name] = np.asarray(Image.open(name)).tolist()[0]
    with fits.open(name) as file:
        print(f"{name}: astropy reads {file[0].data.tolist()[0]}, Pillow {found[name]}")
sys.exit(not (found["unsigned.fits"] == [32768, 232, 32767] and found["scaled.fits"][2] == 500))
EOF
