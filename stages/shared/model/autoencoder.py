"""The trained autoencoder in NumPy: operations, model file, encoding and decoding.

This module doesn't import PyTorch, because the import takes two seconds and only training needs it. Tensors have the
same names as in PyTorch's Sequential, so PyTorch can load `encoder.*` and `decoder.*` of a model file directly.
"""

import hashlib
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
from stages.shared.model.operations import Config, Operation, apply, output_sizes, parse
from stages.shared.runtime.errors import InputError, corrupt_file, one_line, require_file, with_path

MODEL = Path("data/train/autoencoder.safetensors")
COMPONENTS_FILE = "components.safetensors"  # shared by the checkpoints in the same folder
_METADATA = "autoencoder"
_COMPONENTS = "components"


def scale(images: Uint8) -> Float32:
    """Scale uint8 images, [N, height, width, channels], to float32 [N, pixels] in [0, 1]."""
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


@dataclass(frozen=True)
class Autoencoder:
    """Encoder, from pixels to latents, and decoder, back to pixels in [0, 1].

    training: the params that the autoencoder was trained with.
    """

    encoder: list[Operation]
    decoder: list[Operation]
    height: int
    width: int
    channels: int
    training: dict[str, Any]

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        return self.height, self.width, self.channels

    @property
    def pixels(self) -> int:
        """Number of values per image: height * width * channels."""
        return self.height * self.width * self.channels

    @property
    def latent_size(self) -> int:
        """Number of values per latent."""
        return self._sizes()[-1]

    @property
    def layer_sizes(self) -> list[int]:
        """The encoder's input size, followed by the output size of each of its operations that has weights."""
        layers = [size for operation, size in zip(self.encoder, self._sizes(), strict=True) if operation.tensors]
        return [self.pixels, *layers]

    def _sizes(self) -> list[int]:
        return output_sizes([operation.config for operation in self.encoder], self.pixels)

    def encode(self, images: ArrayLike) -> Float32:
        """Encode images, [N, height, width, channels], to latents, float32 [N, latent_size].

        Images are uint8, or floats in [0, 1]. The last axis is optional for gray images, the first axis for a single
        image. Raises `InputError` for anything else.
        """
        images = self._with_axes(images)
        latents = np.empty((len(images), self.latent_size), np.float32)
        for batch in batches(len(images), self.pixels):
            part = images[batch]
            x = scale(part) if part.dtype == np.uint8 else part.reshape(len(part), -1).astype(np.float32)
            latents[batch] = apply(self.encoder, x)
        return latents

    def decode(self, latents: ArrayLike) -> Float32:
        """Decode latents, [N, latent_size] or a single one, to images, float32 [N, height, width, channels] in [0, 1].

        Raises `InputError` for anything else.
        """
        expected = f"decode: expected latents of shape [N, {self.latent_size}]"
        rows = np.atleast_2d(_numbers(latents, expected))
        if rows.ndim != 2 or rows.shape[1] != self.latent_size or rows.dtype.kind not in "fiu":
            raise InputError(f"{expected}, got {rows.dtype} of {list(np.shape(latents))}")
        images = np.empty((len(rows), self.pixels), np.float32)
        for batch in batches(len(rows), self.pixels):
            images[batch] = apply(self.decoder, rows[batch].astype(np.float32))
        return images.reshape(-1, *self.size)

    def _with_axes(self, given: ArrayLike) -> NDArray[Any]:
        """Return the images with all four axes; raises `InputError` for a wrong shape or type."""
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

    @property
    def components(self) -> Float32 | None:
        """Principal components, [k, pixels]; None if the model has none.

        They are the encoder's first matrix, if the decoder's last matrix is its transpose.
        """
        first, last = self.encoder[0], next(item for item in reversed(self.decoder) if item.tensors)
        if first.kind != "linear" or last.kind != "linear" or not np.array_equal(first.tensors[0], last.tensors[0].T):
            return None
        return first.tensors[0]

    def write(self, path: str | os.PathLike[str], *, as_checkpoint: bool = False) -> None:
        """Write a safetensors file: float32 tensors, with operations, image size and params in the metadata.

        as_checkpoint: whether to write the `components`, if any, to a separate file, which all checkpoints in the
        folder share.
        """
        tensors = _named("encoder", self.encoder) | _named("decoder", self.decoder)
        header: dict[str, Any] = {
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "encoder": [operation.config for operation in self.encoder],
            "decoder": [operation.config for operation in self.decoder],
            "training": self.training,
        }
        components = self.components if as_checkpoint else None
        if components is not None:
            content = save({_COMPONENTS: np.ascontiguousarray(components)})
            header[_COMPONENTS] = hashlib.sha256(content).hexdigest()
            if not (file := Path(path).with_name(COMPONENTS_FILE)).exists():
                file.write_bytes(content)
            for name in _component_names(header):
                del tensors[name]
        # One entry, because safetensors writes several in random order.
        Path(path).write_bytes(save(tensors, {_METADATA: json.dumps(header)}))

    @classmethod
    def read(cls, path: str | os.PathLike[str] = MODEL) -> "Autoencoder":
        """Read a model file, without executing anything in it.

        Raises `InputError` if the file is missing or corrupt, or if operations and weights don't match.
        """
        path = Path(path)
        header, tensors = _read(path)
        try:
            if isinstance(header, dict) and _COMPONENTS in header:
                tensors |= _read_components(path.with_name(COMPONENTS_FILE), header)
            return _assemble(header, tensors)
        except ValueError as error:
            raise corrupt_file(path, str(error)) from None


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    """Read metadata and tensors of a safetensors file; raises `InputError` if the file is missing or corrupt."""
    require_file(path).open(
        "rb"
    ).close()  # whose error says why; safe_open's would always be that there is no such file
    try:
        with with_path(path), safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_METADATA, "null"))
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise corrupt_file(path, f"a safetensors file, got: {error}") from None


def _component_names(header: dict[str, Any]) -> list[str]:
    """Names of the two tensors with the components: the encoder's, and their transpose in the decoder."""
    places = [place for place, item in enumerate(header["decoder"]) if item["kind"] == "linear"]
    return ["encoder.0.weight", f"decoder.{places[-1]}.weight"]


def _read_components(path: Path, header: dict[str, Any]) -> dict[str, Float32]:
    """Read the components that checkpoints share, as tensors by name; raises `InputError` if their hash is wrong."""
    components = _read(path)[1].get(_COMPONENTS)
    if components is None or hashlib.sha256(path.read_bytes()).hexdigest() != header[_COMPONENTS]:
        raise corrupt_file(path, "the components of the checkpoints in its folder")
    try:
        encoder, decoder = _component_names(header)
    except (KeyError, TypeError, IndexError):
        raise ValueError("a decoder with a linear layer") from None
    return {encoder: components, decoder: np.ascontiguousarray(components.T)}


def _numbers(given: ArrayLike, expected: str) -> NDArray[Any]:
    """Convert to an array; raises `InputError` if that is impossible. `expected` begins its message."""
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
    """Make an autoencoder from a file's header and tensors; raises `ValueError` with a text of what was expected."""
    fields = {"height": int, "width": int, "channels": int, "encoder": list, "decoder": list, "training": dict}
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in fields.items()):
        raise ValueError(f"metadata '{_METADATA}' with {', '.join(fields)}")
    height, width, channels = (header[name] for name in ("height", "width", "channels"))
    if min(height, width) < 1 or channels not in (1, 3):
        raise ValueError(f"a positive height and width, and 1 or 3 channels, got {height}, {width}, {channels}")
    pixels = height * width * channels
    latent_size = [pixels, *output_sizes(header["encoder"], pixels)][-1]
    if (actual := [latent_size, *output_sizes(header["decoder"], latent_size)][-1]) != pixels:
        raise ValueError(f"a decoder with an output of height x width x channels = {pixels} numbers, got {actual}")
    encoder, decoder = (_operations(part, header[part], tensors) for part in ("encoder", "decoder"))
    return Autoencoder(encoder, decoder, height, width, channels, header["training"])


def _operations(part: str, configs: Sequence[Config], tensors: dict[str, Any]) -> list[Operation]:
    operations = []
    for place, description in enumerate(configs):
        kind, settings, works_on = parse(description)
        own = []
        for name, shape in kind.tensors(settings).items():
            full = f"{part}.{place}.{name}"
            tensor = tensors.get(full)
            if tensor is None or tensor.shape != shape or tensor.dtype != np.float32:
                actual = "none" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise ValueError(f"a tensor {full} of float32 {shape}, as in its operations, got {actual}")
            if not np.isfinite(tensor).all():
                raise ValueError(f"finite numbers in {full}")
            own.append(tensor)
        operations.append(Operation(description["kind"], settings, tuple(own), works_on))
    return operations
