"""The training loop against a plain one, its gradient against autograd, its memory against the data set's size."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages.shared.arrays import Uint8
from stages.shared.model.architecture import dense
from stages.shared.model.operations import ACTIVATIONS, KINDS, Kind
from stages.shared.training.gradients import Autograd, ByHand
from stages.shared.training.network import Network, flatten
from stages.shared.training.noise import NOISES, Noise
from stages.shared.training.trainer import Trainer

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
MODULES = {name: getattr(nn, kind.torch) for name, kind in ACTIVATIONS.items()}
BY_HAND = [name for name in ACTIVATIONS if ByHand.takes(Network(*dense(30, [8], 2, name)))]

torch.set_num_threads(1)


def draw(count: int, height: int = 6, width: int = 5, seed: int = 0) -> Uint8:
    """Blurred noise: random, but with something to learn."""
    noise = np.random.default_rng(seed).random((count, height, width, 1))
    return (255 * noise.cumsum(axis=1) / height).astype(np.uint8)


def trainer(images: Uint8, device: torch.device = CPU, **changes: Any) -> Trainer:
    recipe: dict[str, Any] = {
        "layers": [16, 8],
        "latent_size": 3,
        "activation": "relu",
        "epochs": 3,
        "batch_size": 8,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "seed": 1,
    }
    return Trainer(images, **(recipe | changes), device=device)


def curve(images: Uint8, **changes: Any) -> list[float]:
    t = trainer(images, **changes)
    return [loss for _ in range(3) for loss in (t.epoch(), t.test(images[:50]))]


def plain_curve(images: Uint8, activation: str, schedule: str, optimize: Any = None) -> list[float]:
    """The same training as anyone would write it."""
    torch.manual_seed(1)
    activate = MODULES[activation]
    network = nn.Sequential(
        *[nn.Linear(30, 16), activate(), nn.Linear(16, 8), activate(), nn.Linear(8, 3)],
        *[nn.Linear(3, 8), activate(), nn.Linear(8, 16), activate(), nn.Linear(16, 30), nn.Sigmoid()],
    )
    optimizer = (optimize or (lambda of: torch.optim.Adam(of, lr=0.01)))(network.parameters())
    steps = 3 * ((len(images) + 7) // 8)
    if schedule == "one-cycle":
        one_cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps, cycle_momentum=False)
    x = torch.tensor(images.reshape(-1, 30) / 255, dtype=torch.float32)
    shuffle = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(3):
        total = 0.0  # over the images, of which the last batch has fewer
        for indices in torch.randperm(len(x), generator=shuffle).split(8):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(x[indices]), x[indices])
            loss.backward()
            optimizer.step()
            if schedule == "one-cycle":
                one_cycle.step()
            total += loss.item() * len(indices)
        with torch.no_grad():
            losses += [total / len(x), nn.functional.mse_loss(network(x[:50]), x[:50]).item()]
    return losses


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_the_losses_are_those_of_a_plain_loop(activation: str, schedule: str) -> None:
    images = draw(203)  # the last batch has 3
    ours = curve(images, activation=activation, schedule=schedule)
    assert ours == pytest.approx(plain_curve(images, activation, schedule), rel=1e-5)
    assert ours[-1] < ours[0] / 2


def test_a_denoiser_sees_noise_and_is_held_to_the_image() -> None:
    images = draw(203)
    t = trainer(images, noise=0.1)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    gradient = t.gradient

    def watched(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((x.clone(), target.clone()))
        return gradient(x, target)

    t.gradient = watched
    t.epoch()
    given, wanted = (torch.cat(each) for each in zip(*seen, strict=True))
    rows = torch.tensor(images.reshape(-1, 30) / 255, dtype=torch.float32)
    assert torch.equal(wanted.sort(dim=0).values, rows.sort(dim=0).values)
    middle = (wanted > 0.4) & (wanted < 0.6)
    assert (given - wanted)[middle].std() == pytest.approx(0.1, rel=0.1)
    assert not torch.equal(given[:8] - wanted[:8], given[8:16] - wanted[8:16])


SIZE = (20, 16, 3)


def noisy(kind: str, amount: float, images: torch.Tensor, seed: int = 0, batch: int = 0) -> torch.Tensor:
    noise = Noise(kind, amount, SIZE, len(images), seed, CPU)
    noise.draw(batch)
    return noise.add(images.flatten(1), noise.drawn).view_as(images)


def test_gaussian_noise_has_its_deviation_and_keeps_pixels_between_0_and_1() -> None:
    grey = torch.full((200, *SIZE), 0.5)
    made = noisy("gaussian", 0.1, grey)
    assert (made - grey).std() == pytest.approx(0.1, rel=0.02)
    assert (made - grey).mean() == pytest.approx(0, abs=0.001)
    wide = noisy("gaussian", 1.0, grey)
    assert [wide.min().item(), wide.max().item()] == [0, 1]


def test_salt_and_pepper_are_as_many_pixels_black_and_white_in_all_channels() -> None:
    made = noisy("salt-and-pepper", 0.3, torch.full((200, *SIZE), 0.5))
    assert torch.equal(made[..., :1].expand_as(made), made)
    assert [(made == value).float().mean().item() for value in (0, 0.5, 1)] == pytest.approx(
        [0.15, 0.7, 0.15], abs=0.01
    )


def test_a_square_is_black_and_of_its_share_and_lies_anywhere_inside() -> None:
    black = noisy("square", 0.25, torch.ones(400, *SIZE)) == 0  # [N, height, width, channels]
    for picture in black:
        rows, columns = (
            picture.any(dim=2).any(dim=1).nonzero().flatten(),
            picture.any(dim=2).any(dim=0).nonzero().flatten(),
        )
        assert (len(rows), len(columns)) == (10, 8)
        assert picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert black.any(dim=0).all(), "no place is spared"


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_that_of_its_seed_and_batch_alone(kind: str) -> None:
    images = torch.rand(16, *SIZE, generator=torch.Generator().manual_seed(0))
    noise = Noise(kind, 0.3, SIZE, 16, 5, CPU)
    noise.draw(1)
    noise.draw(7)
    made = noise.add(images.flatten(1), noise.drawn).view_as(images)
    assert torch.equal(made, noisy(kind, 0.3, images, seed=5, batch=7))
    assert not torch.equal(made, noisy(kind, 0.3, images, seed=5, batch=8))
    assert not torch.equal(made, noisy(kind, 0.3, images, seed=6, batch=7))
    assert torch.equal(noisy(kind, 0, images), images)


def test_the_shipped_activations_are_taken_by_hand() -> None:
    assert set(BY_HAND) >= {"relu", "silu", "gelu"}


@pytest.mark.parametrize("activation", BY_HAND)
@pytest.mark.parametrize("count", [1, 3, 64])
@pytest.mark.parametrize("layers", [[2], [16, 8, 3]])
def test_the_gradient_by_hand_is_autograds(activation: str, count: int, layers: list[int]) -> None:
    # In float64, so that a small mistake is no rounding.
    network = Network(*dense(30, layers[:-1], layers[-1], activation)).double()
    grad = flatten(network)[1][:-1]  # the last place is the loss's, where processes add them up
    autograd, by_hand = Autograd(network), ByHand(network)
    assert ByHand.takes(network)
    for seed in range(2):  # the second time in the memory of the first
        x = torch.tensor(draw(count, seed=seed).reshape(count, 30) / 255)
        target = torch.rand_like(x)  # another than the input, as with noise on it
        expected_loss, expected = autograd(x, target), grad.clone()
        grad.fill_(torch.nan)
        loss = by_hand(x, target)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-15)
        assert expected.abs().max() > 0


def test_what_no_one_does_by_hand_is_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that the table alone knows trains; the losses are those of a plain loop."""
    monkeypatch.setitem(ACTIVATIONS, "tanh", Kind("Tanh", np.tanh, lambda directions, x, y: directions * (1 - y * y)))
    monkeypatch.setitem(KINDS, "tanh", ACTIVATIONS["tanh"])
    monkeypatch.setitem(MODULES, "tanh", nn.Tanh)
    images = draw(203)
    assert not ByHand.takes(trainer(images, activation="tanh").network)
    assert curve(images, activation="tanh") == pytest.approx(plain_curve(images, "tanh", "constant"), rel=1e-5)
    denoised = curve(images, activation="tanh", noise=0.2)
    assert denoised[-1] < denoised[0] / 2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_and_pytorch_make_the_same_of_an_image(activation: str) -> None:
    t = trainer(draw(64), activation=activation)
    t.epoch()
    images, kept = draw(50, seed=3), t.autoencoder({})
    with torch.no_grad():
        x = torch.tensor(images.reshape(50, 30) / 255, dtype=torch.float32)
        latents, reconstructions = t.network.encoder(x), t.network(x)
    np.testing.assert_allclose(kept.encode(images), latents, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kept.decode(kept.encode(images)).reshape(50, 30), reconstructions, rtol=1e-5, atol=1e-6)


def test_sgd_is_pytorchs() -> None:
    images = draw(203)
    ours = curve(images, optimizer="sgd", learning_rate=0.1)
    theirs = plain_curve(images, "relu", "constant", lambda of: torch.optim.SGD(of, 0.1, 0.9, nesterov=True))
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_two_runs_give_the_same_weights_and_another_seed_gives_others() -> None:
    def weights(seed: int) -> bytes:
        t = trainer(draw(100), seed=seed)
        t.epoch()
        return t.parameters.numpy().tobytes()

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("noise", [0, 0.2])
def test_work_on_one_thread_has_the_bits_of_two(noise: float) -> None:
    images = draw(1000, 28, 28)
    found = []
    for threads in 2, 1:
        torch.set_num_threads(2)
        t = trainer(images, layers=[128, 64, 12], batch_size=64, noise=noise)
        if threads == 1:
            assert t.work_on_one_thread() == (torch.get_num_threads() == 1)
        found.append(([(t.epoch(), t.test(images[:300])) for _ in range(2)], t.parameters))
    (losses, weights), (one_losses, one_weights) = found
    assert one_losses == losses
    assert torch.equal(one_weights, weights)


@pytest.mark.usefixtures("two_threads")
def test_where_a_bit_depends_on_the_threads_all_of_them_work(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = ByHand.__call__

    def otherwise(self: ByHand, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = by_hand(self, x, target)
        if len(x) == 2:  # the last batch
            t.sums[0] += torch.get_num_threads()
        return loss

    t = trainer(draw(18))
    monkeypatch.setattr(ByHand, "__call__", otherwise)
    assert not t.work_on_one_thread()
    assert torch.get_num_threads() == 2


def test_the_test_loss_is_that_of_the_kept_autoencoder() -> None:
    t = trainer(draw(64))
    t.epoch()
    images = draw(5000, seed=2)  # more than one part
    kept = t.autoencoder({})
    error = kept.decode(kept.encode(images)) - images / 255
    assert t.test(images) == pytest.approx(np.square(error).mean(), rel=1e-5)


def test_training_does_not_change_the_kept_autoencoder() -> None:
    t = trainer(draw(64))
    kept = t.autoencoder({})
    before = kept.encoder[0].tensors[0].copy()
    t.epoch()
    np.testing.assert_array_equal(kept.encoder[0].tensors[0], before)


def test_progress_sees_every_batch_of_a_new_order() -> None:
    t = trainer(draw(20))
    seen: list[list[list[int]]] = []

    def progress(batches: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        seen.append([indices.tolist() for indices in batches])
        return batches

    t.epoch(progress)
    t.epoch(progress)
    assert [[len(batch) for batch in epoch] for epoch in seen] == [[8, 8, 4]] * 2
    assert all(sorted(index for batch in epoch for index in batch) == list(range(20)) for epoch in seen)
    assert seen[0] != seen[1]


def test_one_cycle_fills_the_rate_where_it_lies() -> None:
    """A captured CUDA graph reads the rate from one place: the schedule must not put another tensor there."""
    t = trainer(draw(80), schedule="one-cycle")
    rate = t.optimizer.rate
    seen: list[float] = []

    def progress(batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        for batch in batches:
            yield batch
            seen.append(rate.item())

    for _ in range(3):
        t.epoch(progress)
    assert t.optimizer.rate is rate
    assert max(seen) == pytest.approx(0.01)
    assert seen[0] < seen[5] > seen[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_memory_grows_by_no_more_than_the_images_themselves(tmp_path: Path) -> None:
    count = 200_000
    path = tmp_path / "images.npy"
    images = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(count, 28, 28, 1)
    )  # sparse: no disk space
    del images
    code = f"""
import re, torch
import numpy as np
from functools import partial
from pathlib import Path
from stages.shared.training.trainer import Trainer
torch.set_num_threads(1)
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
images = np.load({str(path)!r}, mmap_mode="c")
prepare = partial(Trainer, layers=[8], latent_size=3, activation="relu", epochs=1, batch_size=1024,
                  optimizer="adam", learning_rate=0.01, schedule="constant", seed=0, device=torch.device("cpu"))
prepare(images[:1024]).epoch()
before = peak()
trainer = prepare(images)
trainer.epoch()
trainer.test(images)
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(run.stdout) < count * 28 * 28 + 100 * 2**20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
class TestCuda:
    CUDA = torch.device("cuda")

    def test_the_capture_leaves_weights_and_optimizer_as_they_were(self) -> None:
        images = draw(203)
        on_cuda, on_cpu = trainer(images, self.CUDA), trainer(images)
        assert torch.equal(on_cuda.parameters.cpu(), on_cpu.parameters)
        assert not any(state.any() for state in on_cuda.optimizer.state.values())

    @pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
    def test_the_losses_are_those_of_the_cpu(self, schedule: str) -> None:
        images = draw(203)
        ours = curve(images, device=self.CUDA, schedule=schedule)
        assert ours == pytest.approx(curve(images, schedule=schedule), rel=1e-3)

    def test_two_runs_give_the_same_losses(self) -> None:
        images = draw(203)
        assert curve(images, device=self.CUDA) == curve(images, device=self.CUDA)

    def test_images_that_do_not_fit_stay_on_the_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        images = draw(203)
        resident = curve(images, device=self.CUDA)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
        assert not trainer(images, self.CUDA).images.is_cuda
        assert curve(images, device=self.CUDA) == pytest.approx(resident, rel=1e-4)
