"""Split converted images into training and test, with exact copies in the same split."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from stages.shared.arrays import Int64, Uint8, Uint16, batches
from stages.shared.images.dataset import SPLITS, images_file
from stages.shared.images.folder import split_indices

Indices = tuple[Int64, Int64]  # of the training images and of the test images, among all


@dataclass(frozen=True)
class Pool:
    """Converted images in `.npy` files, uint8 [N, height, width, channels], and the labels of all of them, [N].

    files: one file for each split, in the order of `SPLITS`, or a single file from which the split is drawn.
    """

    files: Sequence[Path]
    labels: Uint16

    @cached_property
    def given(self) -> Indices:
        """Indices of the images of each split, if each split has its own file."""
        train = len(np.load(self.files[0], mmap_mode="r"))
        return np.arange(train), np.arange(train, len(self.labels))

    @cached_property
    def copies(self) -> Int64:
        """For each image, the index of the first image with the same pixels, [N]."""
        digests = bytearray()
        for file in self.files:
            for rows in _blocks(file):
                for row in rows:
                    digests += hashlib.blake2b(row, digest_size=16).digest()
        _, first, inverse = np.unique(np.frombuffer(digests, "V16"), return_index=True, return_inverse=True)
        return first[inverse]

    def count_across(self, indices: Indices) -> int:
        """Number of test images that are copies of training images."""
        train, test = indices
        return int(np.isin(self.copies[test], self.copies[train]).sum())

    def keep_given(self, indices: Indices) -> Indices:
        """Keep the splits that come with the pictures, and print how many images are copies."""
        if across := self.count_across(indices):
            print(
                f"download: {self._counted()}; {_said(across)}, so test results look better than they are; "
                "splits that come with the pictures are not changed"
            )
        elif self._count():
            print(f"download: {self._counted()}, but no test image is a copy of a training image")
        return indices

    def keep_together(self, indices: Indices, share: float, seed: int) -> Indices:
        """Draw the split again if copies of an image are in both splits, so that all are in one. Prints a message.

        Copies count once for `share`, the share of test images. An image with more copies than the test split can have
        is kept in the training split.
        """
        if not self._count():
            return indices
        across = self.count_across(indices)
        if across:
            different, counts = np.unique(self.copies, return_counts=True)
            small = different[counts <= max(1, share * len(self.copies))]
            drawn = small[split_indices(self.labels[small], share, seed)[1]]
            if not len(drawn) and len(small) < len(different):
                drawn = small[:1]  # the others remain for training
            taken = np.isin(self.copies, drawn)
            random = np.random.default_rng(seed)
            together = random.permutation(np.flatnonzero(~taken)), random.permutation(np.flatnonzero(taken))
            if not taken.any() or self._count_untrained(together) > self._count_untrained(indices) == 0:
                print(
                    f"download: {self._counted()}; with all copies of an image in one split, there would be no "
                    f"test images, or a class without training images, so {_said(across)}"
                )
                return indices
            indices = together
        print(f"download: {self._counted()}; all copies of an image are in the same split (download.seed)")
        return indices

    def shuffle_classes(self, indices: Indices, seed: int) -> Indices:
        """Shuffle each split that is sorted by class, so that its first images are representative. Prints a message."""
        shuffled = []
        for split, of in zip(SPLITS, indices, strict=True):
            labels = self.labels[of]
            by_class = len(np.unique(labels)) > 1 and bool((labels[:-1] <= labels[1:]).all())
            shuffled.append(np.random.default_rng(seed).permutation(of) if by_class else of)
            if by_class:
                print(f"download: the {split} images are sorted by class, so they are shuffled (download.seed)")
        return shuffled[0], shuffled[1]

    def move(self, indices: Indices, folder: Path) -> None:
        """Write the images of each split, by their indices, to the split's file in `folder`."""
        as_they_are = len(self.files) == len(SPLITS) and all(map(np.array_equal, indices, self.given))
        for index, (split, of) in enumerate(zip(SPLITS, indices, strict=True)):
            target = folder / images_file(split).name
            if as_they_are:
                self.files[index].replace(target)
            else:
                _gather(self.files, of, target)

    def _count_untrained(self, indices: Indices) -> int:
        """Number of classes without a training image."""
        return len(np.unique(self.labels)) - len(np.unique(self.labels[indices[0]]))

    def _count(self) -> int:
        return len(self.copies) - len(np.unique(self.copies))

    def _counted(self) -> str:
        count = self._count()
        are = "is an exact copy of another" if count == 1 else "are exact copies of others"
        return f"{count} of {len(self.copies)} images {are}"


def _said(across: int) -> str:
    return (
        f"{across} test images are copies of training images"
        if across > 1
        else "1 test image is a copy of a training image"
    )


def _blocks(file: Path) -> Iterator[Uint8]:
    shape = np.load(file, mmap_mode="r").shape
    for batch in batches(shape[0], int(np.prod(shape[1:]))):
        # Map again for each block, because pages of a mapping count as memory of this process.
        yield np.array(np.load(file, mmap_mode="r")[batch])


def _gather(files: Sequence[Path], indices: Int64, target: Path) -> None:
    """Write the images at `indices` to the file `target`; the indices count through all of `files`."""
    arrays = [np.load(file, mmap_mode="r") for file in files]
    starts, shape = np.cumsum([0, *map(len, arrays)]), arrays[0].shape[1:]
    del arrays
    with target.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(indices), *shape)}
        np.lib.format.write_array_header_1_0(out, header)
        for batch in batches(len(indices), int(np.prod(shape))):
            wanted = indices[batch]
            rows = np.empty((len(wanted), *shape), np.uint8)
            for file, start, end in zip(files, starts, starts[1:], strict=False):
                here = (start <= wanted) & (wanted < end)
                rows[here] = np.load(file, mmap_mode="r")[wanted[here] - start]
            out.write(rows.tobytes())
