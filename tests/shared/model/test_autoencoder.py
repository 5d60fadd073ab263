"""The model used from Python: each kind of image and latent is taken as it is meant, or refused in a line."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from stages.shared.images.preprocessing import Preprocessing
from stages.shared.model.architecture import dense
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.model.operations import ACTIVATIONS, KINDS, Config, OperationKind, output_sizes
from stages.shared.runtime.errors import InputError
from stages.shared.training.network import Network
from tests.inputs import noisy_images, random_autoencoder, write_download
from tests.project import ROOT, Project

SIZES = [(6, 5, 1), (6, 5, 3), (3, 3, 3), (1, 1, 1)]


def network(autoencoder: Autoencoder, path: Path) -> nn.ModuleDict:
    """The same in PyTorch: the operations by name, and the file's weights as they are."""
    parts = {"encoder": autoencoder.encoder, "decoder": autoencoder.decoder}
    modules = {
        part: nn.Sequential(*(getattr(nn, str(KINDS[of.kind].torch))(**of.settings) for of in operations))
        for part, operations in parts.items()
    }
    torch_network = nn.ModuleDict(modules)
    torch_network.load_state_dict(safetensors.torch.load_file(path))
    return torch_network


@pytest.fixture(params=SIZES, ids=str)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Autoencoder, nn.ModuleDict, np.ndarray]:
    """An autoencoder, the same in PyTorch, and 20 images, uint8 [20, height, width, channels]."""
    random = np.random.default_rng(0)
    autoencoder = random_autoencoder(random, request.param)
    autoencoder.write(tmp_path / "x.safetensors")
    return autoencoder, network(autoencoder, tmp_path / "x.safetensors"), noisy_images(random, 20, request.param)[0]


def by_torch(module: Any, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = module(torch.from_numpy(rows.reshape(len(rows), -1).astype(np.float32))).numpy()
    return result


def test_bytes_and_floats_are_the_same_images(made: tuple[Autoencoder, nn.ModuleDict, np.ndarray]) -> None:
    autoencoder, torch_network, images = made
    expected = by_torch(torch_network["encoder"], images / 255)
    for given in (images, images / 255, (images / 255).astype(np.float32), torch.from_numpy(images / 255), images[::1]):
        latents = autoencoder.encode(given)
        assert latents.dtype == np.float32
        np.testing.assert_allclose(latents, expected, atol=1e-5)


def test_what_to_tensor_gives(made: tuple[Autoencoder, nn.ModuleDict, np.ndarray]) -> None:
    """[channels, height, width] in [0, 1]: with its axes moved, and of a gray image as it is."""
    from torchvision.transforms import ToTensor  # for more than a second

    autoencoder, torch_network, images = made
    tensor = ToTensor()(images[0])
    expected = by_torch(torch_network["encoder"], images[:1] / 255)
    np.testing.assert_allclose(autoencoder.encode(tensor.permute(1, 2, 0)), expected, atol=1e-5)
    if autoencoder.channels == 1:
        np.testing.assert_allclose(autoencoder.encode(tensor), expected, atol=1e-5)


def test_a_single_image_and_an_empty_batch(made: tuple[Autoencoder, nn.ModuleDict, np.ndarray]) -> None:
    autoencoder, torch_network, images = made
    expected = by_torch(torch_network["encoder"], images / 255)
    np.testing.assert_allclose(autoencoder.encode(images[3]), expected[3:4], atol=1e-5)
    assert autoencoder.encode(images[:0]).shape == (0, autoencoder.latent_size)
    assert autoencoder.encode(images[:0] / 255).shape == (0, autoencoder.latent_size)
    assert autoencoder.decode(np.zeros((0, 2))).shape == (0, *autoencoder.size)
    if autoencoder.channels == 1:
        np.testing.assert_allclose(autoencoder.encode(images[..., 0]), expected, atol=1e-5)
        np.testing.assert_allclose(autoencoder.encode(images[3, :, :, 0]), expected[3:4], atol=1e-5)


def test_decode(made: tuple[Autoencoder, nn.ModuleDict, np.ndarray]) -> None:
    autoencoder, torch_network, _ = made
    latents = np.random.default_rng(1).normal(size=(20, 2))
    expected = by_torch(torch_network["decoder"], latents).reshape(20, *autoencoder.size)
    for given in (latents, latents.astype(np.float32), latents.tolist(), torch.from_numpy(latents)):
        images = autoencoder.decode(given)
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_allclose(autoencoder.decode(latents[4]), expected[4:5], atol=1e-5)
    again = autoencoder.encode(autoencoder.decode(latents))  # what it decodes, it takes
    assert again.shape == latents.shape


GRAY, COLOR = (6, 5, 1), (6, 5, 3)
REFUSED: list[tuple[tuple[int, int, int], Any, str]] = [
    (GRAY, np.zeros((2, 5, 6), np.uint8), r"images of shape \[N, 6, 5, 1\], got \[2, 5, 6\]"),
    (GRAY, np.zeros((2, 6, 5, 3), np.uint8), r"images of shape \[N, 6, 5, 1\], got \[2, 6, 5, 3\]"),
    (GRAY, np.zeros((2, 30), np.uint8), r"got \[2, 30\]"),
    (GRAY, np.uint8(3), r"got \[\]"),
    (GRAY, [], r"got \[0\]"),
    (COLOR, np.zeros((2, 3, 6, 5), np.uint8), r"images of shape \[N, 6, 5, 3\], got \[2, 3, 6, 5\]"),
    (COLOR, np.zeros((2, 6, 5), np.uint8), r"got \[2, 6, 5\]"),
    (GRAY, np.full((2, 6, 5), 255.0), "uint8 images, or floats from 0 to 1"),
    (GRAY, np.full((2, 6, 5), np.nan), "uint8 images, or floats from 0 to 1"),
    (GRAY, np.zeros((2, 6, 5), np.int64), "uint8 images, or floats from 0 to 1, got int64"),
    (GRAY, np.full((2, 6, 5), "a"), "uint8 images, or floats from 0 to 1, got <U1"),
    (GRAY, [[1, 2], [3]], "images of shape"),
    (GRAY, None, "images of shape"),
    (GRAY, torch.zeros((2, 6, 5), requires_grad=True), "images of shape .* got Tensor: .*detach"),
]


@pytest.mark.parametrize(("size", "images", "said"), REFUSED)
def test_other_images_are_refused(size: tuple[int, int, int], images: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        random_autoencoder(np.random.default_rng(0), size).encode(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "latents", [np.zeros((2, 3)), np.zeros(3), 1.0, np.zeros((1, 1, 2)), [[1.0], [1.0, 2.0]], "a", ["a", "b"]]
)
def test_other_latents_are_refused(latents: Any) -> None:
    with pytest.raises(InputError, match=r"decode: expected latents of shape \[N, 2\]") as caught:
        random_autoencoder(np.random.default_rng(0), GRAY).decode(latents)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_file_comes_back_as_it_was_from_any_kind_of_path(activation: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    autoencoder = random_autoencoder(random, COLOR, (9, 7), 4, activation, {"epochs": 3})
    path = tmp_path / "x.safetensors"
    images = noisy_images(random, 5, COLOR)[0]
    for given in (path, str(path)):
        autoencoder.write(given)
        again = Autoencoder.read(given)
        np.testing.assert_array_equal(again.encode(images), autoencoder.encode(images))
        assert (again.size, again.training) == (COLOR, {"epochs": 3})
    expected = by_torch(network(autoencoder, path)["encoder"], images / 255)
    np.testing.assert_allclose(autoencoder.encode(images), expected, atol=1e-5)


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Autoencoder.read(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="damaged: expected a file"):
        Autoencoder.read(str(tmp_path))


def test_a_large_batch_is_worked_on_in_parts(made: tuple[Autoencoder, nn.ModuleDict, np.ndarray]) -> None:
    autoencoder, torch_network, images = made
    many = np.concatenate([images] * 300)
    np.testing.assert_allclose(autoencoder.encode(many), by_torch(torch_network["encoder"], many / 255), atol=1e-5)


def convolve(x: np.ndarray, of: dict[str, Any], weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A convolution in plain loops, without padding."""
    rows, columns = ((side - of["kernel_size"]) // of["stride"] + 1 for side in x.shape[2:])
    y = np.empty((len(x), len(weight), rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        top, left = row * of["stride"], column * of["stride"]
        part = x[:, np.newaxis, :, top : top + of["kernel_size"], left : left + of["kernel_size"]]
        y[:, :, row, column] = (part * weight).sum(axis=(2, 3, 4)) + bias
    return y


def whole(value: object) -> bool:
    return type(value) is int


CONVOLUTION = OperationKind(
    "Conv2d",
    convolve,
    dict.fromkeys(("in_channels", "out_channels", "kernel_size", "stride", "padding"), whole),
    lambda of: {
        "weight": (of["out_channels"], of["in_channels"], of["kernel_size"], of["kernel_size"]),
        "bias": (of["out_channels"],),
    },
    lambda shape, of: (of["out_channels"], *((side - of["kernel_size"]) // of["stride"] + 1 for side in shape[1:])),
    on_images=True,
)


def test_an_operation_on_images_has_its_shape_and_any_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that the table alone knows, with a padding of 0, is the same in NumPy, in PyTorch and in the file."""
    from torchvision.transforms import ToTensor

    monkeypatch.setitem(KINDS, "convolution", CONVOLUTION)
    settings = {"in_channels": 3, "out_channels": 4, "kernel_size": 2, "stride": 2, "padding": 0}
    encoder: list[Config] = [
        {"kind": "convolution", "shape": [3, 6, 5], **settings},
        {"kind": "relu"},
        {"kind": "linear", "in_features": 24, "out_features": 2},
    ]
    torch_network = Network(encoder, dense(90, [], 2, "relu")[1])
    path = tmp_path / "x.safetensors"
    torch_network.autoencoder(COLOR, {}).write(path)
    autoencoder = Autoencoder.read(path)
    assert (autoencoder.latent_size, autoencoder.layer_sizes) == (2, [90, 24, 2])
    images = noisy_images(np.random.default_rng(0), 20, COLOR)[0]
    np.testing.assert_allclose(autoencoder.encode(images), by_torch(torch_network.encoder, images / 255), atol=1e-5)

    convolution, _, linear = torch_network.encoder
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():  # as anyone would write it
        x = torch.stack([ToTensor()(image) for image in images])
        y = nn.functional.conv2d(x, convolution.weight, convolution.bias, stride=2).relu()
        latents = linear(y.permute(0, 2, 3, 1).flatten(1))
    np.testing.assert_allclose(autoencoder.encode(images), latents, atol=1e-5)

    refused: list[tuple[Config, str]] = [
        ({"shape": [3, 5, 5]}, "operation 0 to take 90 numbers"),
        ({"shape": [90]}, "a shape of channels, height and width"),
        ({"padding": 0.5}, "convolution with in_channels"),
    ]
    for changed, said in refused:
        with pytest.raises(ValueError, match=said):
            output_sizes([encoder[0] | changed], 90)


PAGES = [ROOT / "README.md"]
BLOCKS = [block for page in PAGES for block in re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text())]


@pytest.mark.parametrize("size", [(20, 30, 1), (16, 16, 3)])
@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_pages_show_runs_on_any_model(block: str, size: tuple[int, int, int], tmp_path: Path) -> None:
    """And the latents are those of the picture as `download` brings it to the model's form."""
    random = np.random.default_rng(0)
    picture = noisy_images(random, 1, (50, 40, 3))[0][0]
    Image.fromarray(picture).save(tmp_path / "mine.png")
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data/train").mkdir(parents=True)
    write_download(tmp_path, noisy_images(random, 3, size), noisy_images(random, 3, size), [])
    autoencoder = random_autoencoder(random, size)
    autoencoder.write(tmp_path / MODEL)
    result = Project(tmp_path).run("python", "-W", "error", "-c", block, env={"PYTHONPATH": str(ROOT)})
    assert result.returncode == 0, result.stderr
    if "mine.png" in block:
        form = Preprocessing(*size[:2], "gray" if size[2] == 1 else "rgb", "pad", (255, 255, 255))
        latents = autoencoder.encode(form.apply(Image.fromarray(picture)))
        shown = np.array(re.findall(r"-?\d+\.\d*(?:e[-+]\d+)?", result.stdout.partition("]]")[0]), float)
        np.testing.assert_allclose(shown, latents[0], rtol=1e-4)
