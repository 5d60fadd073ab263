"""Rank the pictures of a folder by the trained autoencoder's reconstruction error, most abnormal first.

The folder may have any layout. The model is that of the last `dvc repro`; pictures are converted as in `download`. The
output is CSV: the mean squared error per pixel, and the file. Unreadable files are listed on standard error.
"""

from stages.shared.runtime.run import run

import argparse
import csv
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from stages.download import Params, choose_preprocessing
from stages.shared.arrays import Uint8
from stages.shared.formats import read_array
from stages.shared.images.dataset import DESCRIPTION, DatasetInfo
from stages.shared.images.folder import all_pictures, show
from stages.shared.images.preprocessing import Color, Fit, Preprocessing
from stages.shared.images.write import Refusal, write_pictures
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.signals import cleanup_on_signal
from stages.shared.scores.metrics import reconstruction_errors

CHUNK = 10_000  # pictures in the temporary file


def preprocessing_of(autoencoder: Autoencoder) -> Preprocessing:
    """Make the preprocessing with the model's size, color and range of values; raises `InputError`.

    It is read from `dataset.json`, or from params.yaml if there is no such file.
    """
    color: Color = "gray" if autoencoder.channels == 1 else "rgb"
    if DESCRIPTION.exists():
        of = DatasetInfo.read()
        fit = cast(Fit, of.fit)
        return Preprocessing(autoencoder.height, autoencoder.width, color, fit, of.background, of.range)
    p = params.read("download", Params).model_copy(update={"height": None, "width": None, "color": None})
    return choose_preprocessing(p, autoencoder.height, autoencoder.width, color)


def blocks(
    command: str, paths: Sequence[Path], autoencoder: Autoencoder, bad: list[Refusal]
) -> Iterator[tuple[list[Path], Uint8]]:
    """Yield converted pictures in blocks: their paths, and the images, uint8 [N, height, width, channels].

    Unreadable files are added to `bad`. Notes about the others are printed with the prefix `command`.
    """
    preprocess = preprocessing_of(autoencoder)
    for start in range(0, len(paths), CHUNK):
        part = paths[start : start + CHUNK]
        with TemporaryDirectory() as folder, cleanup_on_signal(lambda: shutil.rmtree(folder, ignore_errors=True)):
            target = Path(folder) / "pictures.npy"
            written = write_pictures(part, preprocess, target)
            bad += written.bad
            for line in written.survey.lines():
                print(f"{command}: {line}", file=sys.stderr)
            if written.indices:
                images = read_array(target, np.uint8, (len(written.indices), *preprocess.shape))
                yield [part[place] for place in written.indices], images


def errors(paths: Sequence[Path], autoencoder: Autoencoder, bad: list[Refusal]) -> Iterator[tuple[float, Path]]:
    """Yield the mean squared error per pixel and the path of each picture; unreadable files are added to `bad`."""
    for part, images in blocks("rank", paths, autoencoder, bad):
        found = reconstruction_errors(autoencoder, images, autoencoder.encode(images))
        yield from zip(found.tolist(), part, strict=True)


def pictures_in(given: str) -> tuple[Path, list[Path], list[Refusal]]:
    """Return the given folder, its pictures at any depth, and its unreadable files; raises `InputError`."""
    folder = Path(given).expanduser()
    if not given or not folder.is_dir():
        raise InputError(f"FOLDER: expected a folder of pictures, got {given!r:.200}")
    return folder, *all_pictures(folder)


def report(command: str, folder: Path, found: int, bad: Sequence[Refusal]) -> None:
    """List unreadable files on standard error; raises `InputError` if no picture could be read."""
    for path, reason in bad:
        print(f"{command}: {show(path)}: {reason}", file=sys.stderr)
    if not found:
        raise InputError(f"{show(folder)}: no readable picture; expected files such as .jpg or .png")


def main() -> None:
    """Rank the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.rank", description=__doc__)
    parser.add_argument("folder", help="of pictures, at any depth")
    parser.add_argument("--output", type=Path, help="the file to write the list to, instead of standard output")
    arguments = parser.parse_args()
    folder, paths, bad = pictures_in(arguments.folder)
    ranked = sorted(errors(paths, Autoencoder.read(), bad), key=lambda pair: (-pair[0], pair[1]))
    report("rank", folder, len(ranked), bad)
    output = arguments.output
    with output.open("w", newline="", encoding="utf-8") if output else nullcontext(sys.stdout) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["error", "file"])
        writer.writerows([f"{error:.6f}", show(path)] for error, path in ranked)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in a pipe such as `… | head`
    run(main)
