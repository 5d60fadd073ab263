"""The autoencoder as it is kept and used: its layers, its file, encoding and decoding, all in NumPy.

Only training needs gradients, and PyTorch takes two seconds to import; `trainer.py` is where it comes in. The tensors
have the names that PyTorch gives to the same layers in a Sequential, so a file's `encoder.*` and `decoder.*` load there
as they are.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.special import erf, expit

from stages.shared.files import Uint8, damaged, plain

Float32 = NDArray[np.float32]
Layer = tuple[Float32, Float32]  # weight [out, in], bias [out]

ACTIVATIONS: dict[str, Callable[[Float32], Float32]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * expit(x),
    "gelu": lambda x: x * (0.5 + 0.5 * erf(x * np.float32(0.5**0.5))),
}
_METADATA = "autoencoder"
_AT_ONCE = 4096  # images encoded or decoded together, so that millions need no more memory


def scale(images: Uint8) -> Float32:
    """uint8 [N, height, width] to float32 [N, height * width] in [0, 1], as the network sees them."""
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


@dataclass(frozen=True)
class Autoencoder:
    """A fully connected autoencoder: the activation between layers, nothing after the latent one, a sigmoid at the end.

    `training` holds the params it was trained with, for later stages to show.
    """

    encoder: list[Layer]
    decoder: list[Layer]
    activation: str
    height: int
    width: int
    training: dict[str, Any]

    @property
    def latent_size(self) -> int:
        """How many numbers an image becomes."""
        return len(self.encoder[-1][1])

    def encode(self, images: Uint8) -> Float32:
        """Images, uint8 [N, height, width], to their latents, float32 [N, latent_size]."""
        parts = [self._through(self.encoder, scale(part)) for part in _split(images)]
        return np.concatenate(parts)

    def decode(self, latents: Float32) -> Float32:
        """Latents, float32 [N, latent_size], to images, float32 [N, height, width] in [0, 1]."""
        parts = [expit(self._through(self.decoder, part)) for part in _split(latents)]
        return np.concatenate(parts).reshape(-1, self.height, self.width)

    @np.errstate(over="ignore", invalid="ignore")  # what isn't finite, the caller sees
    def _through(self, layers: list[Layer], x: Float32) -> Float32:
        for weight, bias in layers[:-1]:
            x = ACTIVATIONS[self.activation](x @ weight.T + bias)
        weight, bias = layers[-1]
        return x @ weight.T + bias

    def write(self, path: Path) -> None:
        """Write a safetensors file: float32 tensors, and in its metadata what the shapes alone don't tell."""
        header = {
            "height": self.height,
            "width": self.width,
            "activation": self.activation,
            "layer_sizes": _sizes(self.encoder),
            "training": self.training,
        }
        tensors = _named("encoder", self.encoder) | _named("decoder", self.decoder)
        # One entry, since safetensors writes several in no fixed order.
        path.write_bytes(save(tensors, {_METADATA: json.dumps(header)}))

    @classmethod
    def read(cls, path: Path) -> "Autoencoder":
        """Read what `write` wrote; nothing in the file is executed.

        Raises `InputError` where it is missing, damaged, or has layer sizes that don't match its weights.
        """
        plain(path).open("rb").close()  # whose error says why; safe_open's would always be that there is no such file
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(_METADATA, "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, ValueError, RecursionError) as error:
            raise damaged(path, f"a safetensors file, got: {error}") from None
        return _assemble(path, header, tensors)


def _split(rows: Any) -> list[Any]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def _sizes(layers: list[Layer]) -> list[int]:
    return [layers[0][0].shape[1], *(len(bias) for _, bias in layers)]


def _names(part: str, index: int) -> tuple[str, str]:
    # Every second module of a torch Sequential is an activation, which has no tensors.
    return f"{part}.{2 * index}.weight", f"{part}.{2 * index}.bias"


def _named(part: str, layers: list[Layer]) -> dict[str, Float32]:
    return {
        name: np.ascontiguousarray(tensor)
        for index, layer in enumerate(layers)
        for name, tensor in zip(_names(part, index), layer, strict=True)
    }


def _assemble(path: Path, header: Any, tensors: dict[str, Any]) -> Autoencoder:
    fields = {"height": int, "width": int, "activation": str, "layer_sizes": list, "training": dict}
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in fields.items()):
        raise damaged(path, f"metadata '{_METADATA}' with {', '.join(fields)}")
    sizes, activation = header["layer_sizes"], header["activation"]
    if activation not in ACTIVATIONS:
        raise damaged(path, f"an activation of {', '.join(ACTIVATIONS)}, got {activation!r:.40}")
    if len(sizes) < 2 or any(type(size) is not int or size < 1 for size in [*sizes, header["height"]]):
        raise damaged(path, f"a positive height and layer sizes, got {header['height']} and {sizes!s:.80}")
    if sizes[0] != header["height"] * header["width"]:
        raise damaged(path, f"a first layer of height x width = {header['height'] * header['width']}, got {sizes[0]}")
    return Autoencoder(
        encoder=_layers(path, "encoder", sizes, tensors),
        decoder=_layers(path, "decoder", sizes[::-1], tensors),
        activation=activation,
        height=header["height"],
        width=header["width"],
        training=header["training"],
    )


def _layers(path: Path, part: str, sizes: Sequence[int], tensors: dict[str, Any]) -> list[Layer]:
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        pair = []
        for name, shape in zip(_names(part, index), ((outputs, inputs), (outputs,)), strict=True):
            tensor = tensors.get(name)
            if tensor is None or tensor.shape != shape or tensor.dtype != np.float32:
                found = "none" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise damaged(path, f"a tensor {name} of float32 {shape}, as the layer sizes say, got {found}")
            if not np.isfinite(tensor).all():
                raise damaged(path, f"finite numbers in {name}")
            pair.append(tensor)
        layers.append((pair[0], pair[1]))
    return layers
