"""The usual way to train this autoencoder: a DataLoader with two workers over a torchvision data set."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from benchmarks.data import Data
from stages.shared.arrays import Uint8, Uint16

LAYERS = [128, 64, 12]
LATENT = 3
BATCH = 64
RATE = 0.005
EPOCHS = 10


class Images(Dataset[tuple[Tensor, int]]):
    """torchvision's FashionMNIST with ToTensor(), over arrays: the same work for each item."""

    def __init__(self, images: Uint8, labels: Uint16) -> None:
        self.images = torch.tensor(images.squeeze(3))  # [N, height, width]
        self.labels = torch.tensor(labels.astype("int64"))
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.images[index], int(self.labels[index])
        return self.transform(Image.fromarray(image.numpy())), label


class Baseline:
    """Model, optimizer and loaders of the tutorials."""

    def __init__(self, data: Data, device: torch.device, seed: int = 0) -> None:
        torch.manual_seed(seed)
        pixels = data.train_images[0].size
        sizes = [pixels, *LAYERS, LATENT]
        self.model = nn.Sequential(nn.Flatten(), *_half(sizes), *_half(sizes[::-1]), nn.Sigmoid()).to(device)
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
        self.train = DataLoader(Images(data.train_images, data.train_labels), BATCH, shuffle=True, num_workers=2)
        self.test = DataLoader(Images(data.test_images, data.test_labels), BATCH, num_workers=2)
        self.pixels = data.test_images.size
        self.device = device

    def steps(self) -> Iterator[float]:
        """An epoch, a batch at a time; give its loss."""
        for images, _ in self.train:
            yield self.step(images.to(self.device))

    def step(self, x: Tensor) -> float:
        """Train on a batch, float32 [N, ...] in [0, 1]; give its loss."""
        loss = self.criterion(self.model(x), x.flatten(1))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        value: float = loss.item()
        return value

    @torch.no_grad()
    def test_loss(self) -> float:
        """Over all test images."""
        total = 0.0
        for images, _ in self.test:
            x = images.to(self.device)
            total += nn.functional.mse_loss(self.model(x), x.flatten(1), reduction="sum").item()
        return total / self.pixels


def _half(sizes: list[int]) -> list[nn.Module]:
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return modules[:-1]
