"""Rank the pictures of a folder by how badly the trained autoencoder reconstructs them, the most abnormal first.

Any folder will do, however it is laid out; the model is that of the last `dvc repro`. The pictures are brought to its
form as the download stage does it, with `fit` and `background` from params.yaml. The list is CSV: the mean squared
error per pixel, and the file. What can't be read is named on standard error.
"""

from stages.shared.process.run import run

import argparse
import csv
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.download import Params, choose_form
from stages.shared.formats import read_array
from stages.shared.images.folder import all_pictures, show
from stages.shared.images.form import Form
from stages.shared.images.write import Refusal, write_pictures
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.signals import cleaned
from stages.shared.scores.metrics import reconstruction_errors

TOGETHER = 10_000  # pictures that lie in a temporary file at a time


def form_of(autoencoder: Autoencoder) -> Form:
    """The model's size and color, and how pictures are brought to it; raises `InputError`."""
    p = params.read("download", Params).model_copy(update={"height": None, "width": None, "color": None})
    return choose_form(p, autoencoder.height, autoencoder.width, "grey" if autoencoder.channels == 1 else "rgb")


def errors(paths: Sequence[Path], autoencoder: Autoencoder, bad: list[Refusal]) -> Iterator[tuple[float, Path]]:
    """Each picture's mean squared error per pixel, and its path; those that can't be read are added to `bad`."""
    form = form_of(autoencoder)
    for start in range(0, len(paths), TOGETHER):
        part = paths[start : start + TOGETHER]
        with TemporaryDirectory() as folder, cleaned(lambda: shutil.rmtree(folder, ignore_errors=True)):
            target = Path(folder) / "pictures.npy"
            written, refused = write_pictures(part, form, target)
            bad += refused
            if written:
                images = read_array(target, np.uint8, (len(written), *form.shape))
                found = reconstruction_errors(autoencoder, images, autoencoder.encode(images))
                yield from zip(found.tolist(), (part[place] for place in written), strict=True)


def main() -> None:
    """Take the folder, and where the list goes, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.rank", description=__doc__)
    parser.add_argument("folder", help="of pictures, at any depth")
    parser.add_argument("--output", type=Path, help="the file to write the list to, instead of standard output")
    arguments = parser.parse_args()
    folder = Path(arguments.folder).expanduser()
    if not arguments.folder or not folder.is_dir():
        raise InputError(f"FOLDER: expected a folder of pictures, got {arguments.folder!r:.200}")
    paths, bad = all_pictures(folder)
    ranked = sorted(errors(paths, Autoencoder.read(), bad), key=lambda pair: (-pair[0], pair[1]))
    for path, reason in bad:
        print(f"rank: {show(path)}: {reason}", file=sys.stderr)
    if not ranked:
        raise InputError(f"{show(folder)}: no picture in it that can be read; expected files such as .jpg or .png")
    output = arguments.output
    with output.open("w", newline="", encoding="utf-8") if output else nullcontext(sys.stdout) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["error", "file"])
        writer.writerows([f"{error:.6f}", show(path)] for error, path in ranked)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` wants no more than that
    run(main)
