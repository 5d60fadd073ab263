"""Write pictures as one array, in chunks."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stages.shared.arrays import Uint8
from stages.shared.images.decoding import decode
from stages.shared.images.picture import UNREADABLE, Picture
from stages.shared.images.preprocessing import Preprocessing, as_picture, measure
from stages.shared.images.survey import Facts, Survey

_CHUNK = 32  # pictures per task of a thread; single pictures take 20 % longer
_PREFETCH = 3  # tasks per thread, decoded in advance
Refusal = tuple[Path, str]


@dataclass
class Written:
    """Result: indices of the written pictures, unreadable pictures with reasons (bad), and a survey."""

    indices: list[int] = field(default_factory=list)
    bad: list[Refusal] = field(default_factory=list)
    survey: Survey = field(default_factory=Survey)

    def add(self, other: "Written") -> None:
        """Append the result of the next pictures."""
        self.indices += other.indices
        self.bad += other.bad
        self.survey.merge(other.survey)


def write_pictures(paths: Sequence[Path], preprocess: Preprocessing, target: Path) -> Written:
    """Decode the files at `paths` on all cores and write `target`, a `.npy` of uint8 [N, height, width, channels]."""
    written = Written()
    with target.open("wb") as file:
        _write_header(file, len(paths), preprocess)
        for chunk, pixels in _read(preprocess.read, paths, target.stem):
            written.add(chunk)
            file.write(pixels)
        file.seek(0)
        _write_header(file, len(written.indices), preprocess)
    return written


def survey_pictures(paths: Sequence[Path]) -> Survey:
    """Survey the values of the picture files at full size; unreadable files are skipped."""
    survey = Survey()
    for chunk, _ in _read(lambda path: (b"", _facts(decode(path))), paths, "values"):
        survey.merge(chunk.survey)
    return survey


def survey_images(images: Iterable[Image.Image], closely: bool) -> Survey:
    """Survey 8-bit images. Unless `closely` is set, stop as soon as the values found suit the pixel type."""
    survey = Survey()
    for image in images:
        survey.add(Path(), _facts(as_picture(image)))
        if not closely and not survey.doubtful:
            break
    return survey


def _facts(picture: Picture) -> Facts:
    return Facts(picture.kind, picture.white, *measure(picture), ())


def _read(
    read: Callable[[Path], tuple[Uint8 | bytes, Facts]], paths: Sequence[Path], name: str
) -> Iterator[tuple[Written, bytes]]:
    """Read the files on all cores; yield the result and the pixels of each chunk of files, in order.

    read: function that reads one file. name: what is read, for the progress display.
    """

    def read_chunk(indices: range) -> tuple[Written, bytes]:
        chunk, pixels = Written(), []
        for index in indices:
            path = paths[index]
            try:
                image, facts = read(path)
            except UNREADABLE as error:
                reason = str(getattr(error, "strerror", None) or error or type(error).__name__)
                chunk.bad.append((path, " ".join(reason.split())))
            else:
                chunk.indices.append(index)
                chunk.survey.add(path, facts)
                pixels.append(image)
        return chunk, b"".join(pixels)  # type: ignore[arg-type]

    chunks = (range(start, min(start + _CHUNK, len(paths))) for start in range(0, len(paths), _CHUNK))
    workers = os.cpu_count() or 1
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow warns about metadata
        ThreadPoolExecutor(workers) as threads,  # decoding and resizing release the GIL
        tqdm(total=len(paths), desc=name, unit=" pictures", leave=False, disable=None) as progress,
    ):
        pending = deque(threads.submit(read_chunk, indices) for indices in islice(chunks, _PREFETCH * workers))
        try:
            while pending:
                chunk, pixels = pending.popleft().result()
                pending.extend(threads.submit(read_chunk, indices) for indices in islice(chunks, 1))
                yield chunk, pixels
                progress.update(len(chunk.indices) + len(chunk.bad))
        finally:
            threads.shutdown(cancel_futures=True)


def _write_header(file: object, count: int, preprocess: Preprocessing) -> None:
    """Write the header of a `.npy` file; its length is the same for every `count`."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *preprocess.shape)}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]


def write_images(images: Iterable[Image.Image], preprocess: Preprocessing, target: Path) -> None:
    """Convert 8-bit images one by one, and write them to the same kind of file as `write_pictures` does."""
    count = 0
    with target.open("wb") as file:
        _write_header(file, count, preprocess)
        for image in tqdm(images, desc=target.stem, unit=" images", leave=False, disable=None):
            file.write(preprocess.apply(image).tobytes())
            count += 1
        file.seek(0)
        _write_header(file, count, preprocess)
