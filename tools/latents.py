"""Write the latents of all images of the data set as Parquet or CSV; the file's ending decides which.

Columns: split, index, file (empty unless the data set is a folder), class (empty without classes), the latent z1,
z2, …, and error (mean squared error per pixel). Model and data set are those of the last `dvc repro`. Images are
processed in blocks, so any number of them fits in memory.
"""

from stages.shared.runtime.run import run

import argparse
import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from stages.shared.arrays import Uint8
from stages.shared.images.dataset import FOLDER, SPLITS, DatasetInfo, LabeledImages
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.errors import InputError, corrupt_file, with_path
from stages.shared.scores.metrics import reconstruction_errors

PICTURES = FOLDER / "pictures.csv"
ROWS = 2**16  # per block and per row group of Parquet
Write = Callable[[pa.RecordBatch], None]


def encode(autoencoder: Autoencoder, images: Uint8, columns: dict[str, Any]) -> pa.RecordBatch:
    """Encode images; return their rows of the table: the given columns, then latents and errors as float32.

    Raises `InputError` if a latent is not finite.
    """
    latents = autoencoder.encode(images)
    if not np.isfinite(latents).all():
        raise corrupt_file(MODEL, "weights with finite latents")
    errors = reconstruction_errors(autoencoder, images, latents).astype(np.float32)
    numbers = {f"z{number}": latent for number, latent in enumerate(latents.T, start=1)} | {"error": errors}
    return pa.record_batch(
        columns | {name: pa.array(np.ascontiguousarray(dataset)) for name, dataset in numbers.items()}
    )


def categories(names: list[str], labels: Any) -> pa.DictionaryArray:
    """Make a column that pandas reads as categories; labels are indices of `names`."""
    return pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), pa.array(names, pa.string()))


@contextmanager
def written(path: Path) -> Iterator[Write]:
    """Open a table to write blocks to; when it is complete, it is moved to `path`."""
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"OUTPUT: expected a file that ends in .parquet or .csv, got {str(path)!r:.200}")
    if not path.parent.is_dir():
        raise InputError(f"OUTPUT: {path.parent}: no such folder; create it, or use another")
    part = path.with_name(f".partial-{path.name}")
    try:
        with with_path(path), part.open("wb") as file, blocks_to(file, path.suffix) as write:
            yield write
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def blocks_to(file: BinaryIO, kind: str) -> Iterator[Write]:
    """Context with a function that writes blocks to an open file; kind: `.parquet` or `.csv`."""
    with ExitStack() as stack:
        writers: list[Any] = []

        def write(block: pa.RecordBatch) -> None:
            if kind == ".csv":
                block = block.cast(pa.schema([(field.name, _plain(field.type)) for field in block.schema]))
            if not writers:
                writers.append(stack.enter_context(_writer(file, kind, block.schema)))
            writers[0].write_batch(block)

        yield write


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _writer(file: BinaryIO, kind: str, schema: pa.Schema) -> Any:
    if kind == ".csv":
        return CSVWriter(file, schema)
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    # pyarrow's default dictionary encoding takes 1.5 times the size, because latents hardly repeat.
    return ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )


def file_names(split: str, reader: Iterator[dict[str, str]], rows: range) -> list[str | None]:
    """Read the file names for the next rows of a split; they are None if the reader has no more."""
    found = list(islice(reader, len(rows)))
    if not found:
        return [None] * len(rows)
    if [(row["split"], row["index"]) for row in found] != [(split, str(index)) for index in rows]:
        raise corrupt_file(PICTURES, f"the files of {split} images {rows.start} to {rows.stop - 1} in order")
    return [row["file"] for row in found]


def blocks(autoencoder: Autoencoder, dataset: DatasetInfo) -> Iterator[pa.RecordBatch]:
    """Yield blocks of both splits; raises `InputError` if an input file is missing or doesn't match the model."""
    splits = {split: LabeledImages.read(split, autoencoder.size, len(dataset.classes)) for split in SPLITS}
    with with_path(PICTURES), PICTURES.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for number, (split, labeled) in enumerate(splits.items()):
            for start in range(0, len(labeled.images), ROWS):
                images = labeled.images[start : start + ROWS]
                rows = range(start, start + len(images))
                labels = [None] * len(rows) if labeled.labels is None else labeled.labels[start : rows.stop]
                columns = {
                    "split": categories(list(SPLITS), np.full(len(rows), number)),
                    "index": pa.array(rows, pa.int64()),
                    "file": pa.array(file_names(split, reader, rows), pa.string()),
                    "class": categories(dataset.classes, labels),
                }
                yield encode(autoencoder, images, columns)


def main() -> None:
    """Write the tables named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.latents", description=__doc__)
    parser.add_argument("outputs", nargs="+", type=Path, metavar="OUTPUT", help="a file, .parquet or .csv")
    outputs = parser.parse_args().outputs
    autoencoder, count = Autoencoder.read(), 0
    with ExitStack() as stack:
        writes = [stack.enter_context(written(path.expanduser())) for path in outputs]
        for block in blocks(autoencoder, DatasetInfo.read()):
            count += len(block)
            for write in writes:
                write(block)
    print(f"latents: {count:,} images, {autoencoder.latent_size} numbers each, in {', '.join(map(str, outputs))}")


if __name__ == "__main__":
    run(main)
