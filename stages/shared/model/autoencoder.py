"""The autoencoder as it is kept and used: its operations, its file, encoding and decoding, all in NumPy.

Only training needs gradients, and PyTorch takes two seconds to import; `training` is where it comes in. The tensors
have the names that PyTorch gives to the same operations in a Sequential, so a file's `encoder.*` and `decoder.*` load
there as they are.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stages.shared.arrays import Float32, Uint8, batches
from stages.shared.model.operations import Description, Operation, apply, output_size, split
from stages.shared.process.errors import InputError, damaged, named, one_line, plain

MODEL = Path("data/train/autoencoder.safetensors")
_METADATA = "autoencoder"


def scale(images: Uint8) -> Float32:
    """uint8 [N, height, width, channels] to float32 [N, pixels] in [0, 1], as the network sees them."""
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


@dataclass(frozen=True)
class Autoencoder:
    """The operations from an image's pixels to its latent, and those back to pixels in [0, 1].

    `training` holds the params it was trained with, for later stages to show.
    """

    encoder: list[Operation]
    decoder: list[Operation]
    height: int
    width: int
    channels: int
    training: dict[str, Any]

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and channels of its images; their product is what is called pixels throughout."""
        return self.height, self.width, self.channels

    @property
    def pixels(self) -> int:
        """How many numbers an image is."""
        return self.height * self.width * self.channels

    @property
    def latent_size(self) -> int:
        """How many numbers an image becomes."""
        return output_size([operation.description for operation in self.encoder], self.pixels)

    def encode(self, images: ArrayLike) -> Float32:
        """Images, [N, height, width, channels], to their latents, float32 [N, latent_size].

        They are uint8, or floats in [0, 1]; grey ones may lack their last axis, and a single image its first. Raises
        `InputError` where they are anything else.
        """
        images = self._taken(images)
        latents = np.empty((len(images), self.latent_size), np.float32)
        for batch in batches(len(images), self.pixels):
            part = images[batch]
            x = scale(part) if part.dtype == np.uint8 else part.reshape(len(part), -1).astype(np.float32)
            latents[batch] = apply(self.encoder, x)
        return latents

    def decode(self, latents: ArrayLike) -> Float32:
        """Latents, [N, latent_size] or one alone, to images, float32 [N, height, width, channels] in [0, 1].

        Raises `InputError` where they are anything else.
        """
        expected = f"decode: expected latents of shape [N, {self.latent_size}]"
        rows = np.atleast_2d(_numbers(latents, expected))
        if rows.ndim != 2 or rows.shape[1] != self.latent_size or rows.dtype.kind not in "fiu":
            raise InputError(f"{expected}, got {rows.dtype} of {list(np.shape(latents))}")
        images = np.empty((len(rows), self.pixels), np.float32)
        for batch in batches(len(rows), self.pixels):
            images[batch] = apply(self.decoder, rows[batch].astype(np.float32))
        return images.reshape(-1, *self.size)

    def _taken(self, given: ArrayLike) -> NDArray[Any]:
        """The images with all four axes."""
        expected = f"encode: expected images of shape [N, {', '.join(map(str, self.size))}]"
        images = _numbers(given, expected)
        shape = images.shape
        if self.channels == 1 and shape[-2:] == (self.height, self.width) and images.ndim < 4:
            images = images[..., np.newaxis]
        images = images[np.newaxis] if images.ndim == 3 else images
        if images.shape[1:] != self.size:
            raise InputError(f"{expected}, got {list(shape)}")
        if images.dtype != np.uint8 and (
            images.dtype.kind != "f" or not (images.size == 0 or (images.min() >= 0 and images.max() <= 1))
        ):
            raise InputError(f"encode: expected uint8 images, or floats from 0 to 1, got {images.dtype}")
        return images

    def write(self, path: Path) -> None:
        """Write a safetensors file: float32 tensors, and in its metadata what the shapes alone don't tell."""
        header = {
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "encoder": [operation.description for operation in self.encoder],
            "decoder": [operation.description for operation in self.decoder],
            "training": self.training,
        }
        tensors = _named("encoder", self.encoder) | _named("decoder", self.decoder)
        # One entry, since safetensors writes several in no fixed order.
        path.write_bytes(save(tensors, {_METADATA: json.dumps(header)}))

    @classmethod
    def read(cls, path: str | os.PathLike[str] = MODEL) -> "Autoencoder":
        """Read what `write` wrote; nothing in the file is executed.

        Raises `InputError` where it is missing, damaged, or has operations that don't match its weights.
        """
        path = Path(path)
        plain(path).open("rb").close()  # whose error says why; safe_open's would always be that there is no such file
        try:
            with named(path), safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(_METADATA, "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, ValueError, RecursionError) as error:
            raise damaged(path, f"a safetensors file, got: {error}") from None
        try:
            return _assemble(header, tensors)
        except ValueError as error:
            raise damaged(path, str(error)) from None


def _numbers(given: ArrayLike, expected: str) -> NDArray[Any]:
    """As an array; raises `InputError` where NumPy, or whoever has the numbers, makes none of it."""
    try:
        return np.asarray(given)
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:  # rows of unequal length; a tensor on a GPU, or with a gradient
        raise InputError(f"{expected}, got {type(given).__name__}: {one_line(str(error))}") from None


def _named(part: str, operations: Sequence[Operation]) -> dict[str, Float32]:
    return {
        f"{part}.{place}.{name}": np.ascontiguousarray(tensor)
        for place, operation in enumerate(operations)
        for name, tensor in operation.named.items()
    }


def _assemble(header: Any, tensors: dict[str, Any]) -> Autoencoder:
    """The autoencoder of a file's header and tensors; raises `ValueError` with what was expected."""
    fields = {"height": int, "width": int, "channels": int, "encoder": list, "decoder": list, "training": dict}
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in fields.items()):
        raise ValueError(f"metadata '{_METADATA}' with {', '.join(fields)}")
    height, width, channels = (header[name] for name in ("height", "width", "channels"))
    if min(height, width) < 1 or channels not in (1, 3):
        raise ValueError(f"a positive height and width, and 1 or 3 channels, got {height}, {width}, {channels}")
    pixels = height * width * channels
    latent_size = output_size(header["encoder"], pixels)
    if (found := output_size(header["decoder"], latent_size)) != pixels:
        raise ValueError(f"a decoder that gives height x width x channels = {pixels} numbers, got {found}")
    encoder, decoder = (_operations(part, header[part], tensors) for part in ("encoder", "decoder"))
    return Autoencoder(encoder, decoder, height, width, channels, header["training"])


def _operations(part: str, descriptions: Sequence[Description], tensors: dict[str, Any]) -> list[Operation]:
    operations = []
    for place, description in enumerate(descriptions):
        kind, settings = split(description)
        own = []
        for name, shape in kind.shapes(settings).items():
            full = f"{part}.{place}.{name}"
            tensor = tensors.get(full)
            if tensor is None or tensor.shape != shape or tensor.dtype != np.float32:
                found = "none" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise ValueError(f"a tensor {full} of float32 {shape}, as the operations say, got {found}")
            if not np.isfinite(tensor).all():
                raise ValueError(f"finite numbers in {full}")
            own.append(tensor)
        operations.append(Operation(description["kind"], settings, tuple(own)))
    return operations
