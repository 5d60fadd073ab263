"""Training on pixels: the rows are images, and the network is the autoencoder."""

from typing import Any

import torch
from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.model.architecture import for_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.gradients import on_one_thread
from stages.shared.training.losses import LOSSES
from stages.shared.training.network import Network
from stages.shared.training.noise import Noise
from stages.shared.training.prefetcher import Prefetcher
from stages.shared.training.recipe import Recipe
from stages.shared.training.space import Prefetch, Transform

_TEST_BATCH = 2048
_TEST_NUMBERS = 2**23  # per batch of large images: 32 MiB of float32


class Pixels:
    """Training data are the images, uint8 [N, height, width, channels], in memory or memory-mapped.

    With noise, the network is a denoising autoencoder: Vincent et al., "Extracting and composing robust features with
    denoising autoencoders" (2008). from_disk: whether the images are larger than the memory, and are therefore
    prefetched.
    """

    def __init__(self, images: Uint8, recipe: Recipe, device: torch.device, *, from_disk: bool = False) -> None:
        # Denormal numbers are slow on many CPUs. Threads inherit this setting, so set it before they start.
        torch.set_flush_denormal(True)
        torch.manual_seed(recipe.seed)
        self.size: tuple[int, int, int] = images.shape[1:]
        self.device = device
        self.loss = LOSSES[recipe.loss]
        layers, latent_size, activation = recipe.layers, recipe.latent_size, recipe.activation
        self.network = Network(*for_images(self.size, layers, latent_size, activation)).to(device)
        self.rows = _rows(images).to(device if _fits(images, device) else "cpu")
        noise = recipe.noise_kind, recipe.noise, self.size, min(recipe.batch_size, len(images)), recipe.seed, device
        self.mirrored = False
        self.transform: Transform | None = Noise(*noise) if recipe.noise else None
        self.prefetch: Prefetch = Prefetcher(images) if from_disk else iter

    def train_loss(self, mean: float) -> float:
        """See `Space`."""
        return mean

    @torch.no_grad()
    def evaluate(self, images: Uint8, group: Group = ALONE) -> float:
        """See `Space`."""
        self.network.eval()
        total = torch.zeros((), dtype=torch.float64)
        parts = _rows(images).split(max(16, min(_TEST_BATCH, _TEST_NUMBERS // images[0].size)))
        for part in parts[group.rank :: group.size]:
            x = part.to(self.device) / 255
            total += on_one_thread(self.loss, self.network(x), x).double().cpu() * x.numel()
        group.all_reduce(total)
        return total.item() / images.size

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """See `Space`."""
        return self.network.autoencoder(self.size, training)


def _fits(images: Uint8, device: torch.device) -> bool:
    """Whether the images take less than half of the device's free memory."""
    return device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2


def _rows(images: Uint8) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1))
