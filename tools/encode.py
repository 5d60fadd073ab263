"""Encode the pictures of a folder with the trained autoencoder to a table, Parquet or CSV.

The folder may have any layout. The model is that of the last `dvc repro`; pictures are converted as in `download`.
Columns: file, the latent z1, z2, …, and error, the mean squared error per pixel. Unreadable files are listed on
standard error.
"""

from stages.shared.runtime.run import run

import argparse
import signal
import sys
from pathlib import Path

import pyarrow as pa

from stages.shared.images.folder import show
from stages.shared.model.autoencoder import Autoencoder
from tools import rank
from tools.latents import blocks_to, encode, written


def main() -> None:
    """Encode the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.encode", description=__doc__)
    parser.add_argument("folder", help="of pictures, at any depth")
    parser.add_argument("--output", type=Path, help="a .parquet or .csv to write, instead of CSV on standard output")
    arguments = parser.parse_args()
    folder, paths, bad = rank.pictures_in(arguments.folder)
    autoencoder, count = Autoencoder.read(), 0
    output = arguments.output
    with written(output.expanduser()) if output else blocks_to(sys.stdout.buffer, ".csv") as write:
        for part, images in rank.blocks("encode", paths, autoencoder, bad):
            count += len(part)
            write(encode(autoencoder, images, {"file": pa.array([show(path) for path in part], pa.string())}))
        rank.report("encode", folder, count, bad)
    if output:
        print(f"encode: {count:,} pictures, {autoencoder.latent_size} numbers each, in {output}")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in a pipe such as `… | head`
    run(main)
