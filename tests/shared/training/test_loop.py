"""The training loop against a plain one, its gradient against autograd, its memory against the data set's size."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages.shared.arrays import Uint8
from stages.shared.model.architecture import dense
from stages.shared.model.operations import ACTIVATIONS, KINDS, OperationKind
from stages.shared.runtime.cores import Cores
from stages.shared.runtime.memory import MappedFile
from stages.shared.training.build import make_trainer
from stages.shared.training.gradients import FastGradient
from stages.shared.training.loop import Trainer
from stages.shared.training.losses import LOSSES
from stages.shared.training.network import Network, flatten
from stages.shared.training.noise import NOISES, Noise
from tests.inputs import RECIPE
from tests.project import ROOT

CPU = torch.device("cpu")
MODULES = {name: getattr(nn, str(kind.torch)) for name, kind in ACTIVATIONS.items()}
FAST = [name for name in ACTIVATIONS if FastGradient.supports(Network(*dense(30, [8], 2, name)), "mse")]

torch.set_num_threads(1)


def draw(count: int, height: int = 6, width: int = 5, seed: int = 0) -> Uint8:
    """Blurred noise: random, but with something to learn."""
    noise = np.random.default_rng(seed).random((count, height, width, 1))
    return (255 * noise.cumsum(axis=1) / height).astype(np.uint8)


def trainer(images: Uint8, device: torch.device = CPU, **changes: Any) -> Trainer:
    return make_trainer(images, RECIPE | changes, device)


def epoch(t: Trainer) -> float:
    for batch in t.batches():
        t.train_batch(batch)
    return t.end_epoch()


def curve(images: Uint8, **changes: Any) -> list[float]:
    t = trainer(images, **changes)
    return [loss for _ in range(3) for loss in (epoch(t), t.space.evaluate(images[:50]))]


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
    fast = t.fast
    assert fast

    def watched(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((x.clone(), target.clone()))
        return fast(x, target)

    t.fast = watched  # type: ignore[assignment]
    epoch(t)
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
    gray = torch.full((200, *SIZE), 0.5)
    made = noisy("gaussian", 0.1, gray)
    assert (made - gray).std() == pytest.approx(0.1, rel=0.02)
    assert (made - gray).mean() == pytest.approx(0, abs=0.001)
    wide = noisy("gaussian", 1.0, gray)
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
    assert set(FAST) >= {"relu", "silu", "gelu"}


@pytest.mark.parametrize("activation", FAST)
@pytest.mark.parametrize("count", [1, 3, 64])
@pytest.mark.parametrize("layers", [[2], [16, 8, 3]])
def test_the_gradient_by_hand_is_autograds(activation: str, count: int, layers: list[int]) -> None:
    # In float64, so that a small mistake is no rounding.
    network = Network(*dense(30, layers[:-1], layers[-1], activation)).double()
    grad = flatten(network)[1][:-1]  # the last place is the loss's, where processes add them up
    fast = FastGradient(network)
    for seed in range(2):  # the second time in the memory of the first
        x = torch.tensor(draw(count, seed=seed).reshape(count, 30) / 255)
        target = torch.rand_like(x)  # another than the input, as with noise on it
        grad.zero_()
        expected_loss = LOSSES["mse"](network(x), target)
        expected_loss.backward()
        expected = grad.clone()
        grad.fill_(torch.nan)
        loss = fast(x, target)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-15)
        assert expected.abs().max() > 0


def test_what_no_one_does_by_hand_is_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that the table alone knows trains; the losses are those of a plain loop."""
    monkeypatch.setitem(ACTIVATIONS, "tanh", OperationKind("Tanh", lambda x, of: np.tanh(x)))
    monkeypatch.setitem(KINDS, "tanh", ACTIVATIONS["tanh"])
    monkeypatch.setitem(MODULES, "tanh", nn.Tanh)
    images = draw(203)
    assert trainer(images, activation="tanh").fast is None
    assert curve(images, activation="tanh") == pytest.approx(plain_curve(images, "tanh", "constant"), rel=1e-5)
    denoised = curve(images, activation="tanh", noise=0.2)
    assert denoised[-1] < denoised[0] / 2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_and_pytorch_make_the_same_of_an_image(activation: str) -> None:
    t = trainer(draw(64), activation=activation)
    epoch(t)
    images, kept = draw(50, seed=3), t.space.autoencoder({})
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
        epoch(t)
        return t.parameters.detach().numpy().tobytes()

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


class Busy(Cores):
    """Cores of which other programs leave one."""

    def free(self) -> float:
        return 1.0


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("noise", [0, 0.2])
def test_on_busy_cores_one_thread_trains_to_the_same_bits(noise: float, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(1000, 10, 10)  # few enough numbers that no processor divides a sum of products among threads
    found, busy = [], Busy("restore")
    for cores, threads in (None, 2), (busy, 1), (busy, 1):
        torch.set_num_threads(2)
        t = trainer(images, layers=[64, 12], batch_size=64, noise=noise, epochs=2)
        if t.transform:
            t.transform.drawn.fill_(np.nan)  # as memory may be that nothing was written to
        t.fit(images[:300], cores=cores)
        assert torch.get_num_threads() == threads
        found.append((t.losses, t.parameters))
    (losses, weights), (one_losses, one_weights), _ = found
    assert one_losses == losses
    assert torch.equal(one_weights, weights)
    assert capsys.readouterr().out == "restore: the cores are busy, so one thread trains; the result is identical\n"


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [8, 2])
def test_where_a_bit_depends_on_the_threads_all_of_them_train(
    count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bit in the gradient of a full batch, or of the last one."""
    fast = FastGradient.__call__

    def otherwise(self: FastGradient, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = fast(self, x, target)
        if len(x) == count:
            t.sums[0] += torch.get_num_threads()
        return loss

    t = trainer(draw(18), epochs=1)
    monkeypatch.setattr(FastGradient, "__call__", otherwise)
    t.fit(cores=Busy("train"))
    assert torch.get_num_threads() == 2
    assert capsys.readouterr().out == (
        "train: the cores are busy, which slows training; "
        "one thread would be faster, but changes the last digits of the result\n"
    )


@pytest.mark.usefixtures("two_threads")
def test_the_loss_of_autograd_is_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastGradient, "supports", lambda network, loss: False)
    t = trainer(draw(1000, 10, 10))  # more numbers than PyTorch sums on one thread
    counts = range(400, 1000, 30)
    on_two = [t.backward(torch.arange(count)) for count in counts]
    torch.set_num_threads(1)
    assert [t.backward(torch.arange(count)) for count in counts] == on_two


def test_the_test_loss_is_that_of_the_kept_autoencoder() -> None:
    t = trainer(draw(64))
    epoch(t)
    images = draw(5000, seed=2)  # more than one part
    kept = t.space.autoencoder({})
    error = kept.decode(kept.encode(images)) - images / 255
    assert t.space.evaluate(images) == pytest.approx(np.square(error).mean(), rel=1e-5)


def test_training_does_not_change_the_kept_autoencoder() -> None:
    t = trainer(draw(64))
    kept = t.space.autoencoder({})
    before = kept.encoder[0].tensors[0].copy()
    epoch(t)
    np.testing.assert_array_equal(kept.encoder[0].tensors[0], before)


def test_each_epoch_takes_every_image_once_in_a_new_order() -> None:
    t = trainer(draw(20))
    seen: list[list[list[int]]] = []
    for _ in range(2):
        seen.append([indices.tolist() for indices in t.batches()])
        epoch(t)
    assert [[len(batch) for batch in batches] for batches in seen] == [[8, 8, 4]] * 2
    assert all(sorted(index for batch in batches for index in batch) == list(range(20)) for batches in seen)
    assert seen[0] != seen[1]


def test_a_length_in_steps_is_of_full_batches_in_parts_of_equal_length() -> None:
    t = trainer(draw(5), steps=11, epochs=3)
    lengths = []
    for _ in range(3):
        batches = list(t.batches())
        lengths.append([len(batch) for batch in batches])
        counts = torch.cat(batches).bincount(minlength=5)
        assert counts.max() - counts.min() <= 1, "every image as often as any other"
        for batch in batches:
            t.train_batch(batch)
        t.end_epoch()
    assert lengths == [[8] * 3, [8] * 4, [8] * 4]
    assert t.steps_done == t.steps == 11


def test_more_images_a_batch_than_there_are_is_all_of_them() -> None:
    images = draw(20)
    assert curve(images, batch_size=64) == curve(images, batch_size=20)
    assert curve(images, batch_size=64, noise=0.1) == curve(images, batch_size=20, noise=0.1)


def test_one_cycle_fills_the_rate_where_it_lies() -> None:
    """A captured CUDA graph reads the rate from one place: the schedule must not put another tensor there."""
    t = trainer(draw(80), schedule="one-cycle")
    rate = t.optimizer.param_groups[0]["lr"]
    seen: list[float] = []
    for _ in range(3):
        for batch in t.batches():
            t.train_batch(batch)
            seen.append(rate.item())
        t.end_epoch()
    assert t.optimizer.param_groups[0]["lr"] is rate
    optimizer = torch.optim.SGD([torch.zeros(())], 0.01)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=30, cycle_momentum=False)
    for ours in seen:
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        if ours is not seen[-1]:
            theirs.step()


def test_images_from_disk_give_the_same_weights_and_are_asked_for_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw(30)
    asked: list[list[int]] = []
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="c")
    monkeypatch.setattr(MappedFile, "prefetch", lambda self, rows: asked.append(rows.tolist()))
    from_memory, from_disk = trainer(images), make_trainer(mapped, RECIPE, CPU, from_disk=True)
    order = [sorted(batch.tolist()) for batch in trainer(images).batches()]
    for number, batch in enumerate(from_disk.batches(), start=1):
        assert asked == order[1 : number + 1], "the next batch, and no batch later than that"
        from_disk.train_batch(batch)
    from_disk.end_epoch()
    epoch(from_memory)
    assert torch.equal(from_disk.parameters, from_memory.parameters)


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_memory_grows_by_no_more_than_the_images_themselves(tmp_path: Path) -> None:
    count = 100_000
    path = tmp_path / "images.npy"
    images = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(count, 28, 28, 1)
    )  # sparse: no disk space
    del images
    code = f"""
import re, torch
import numpy as np
from pathlib import Path
from stages.shared.training.build import make_trainer
torch.set_num_threads(1)
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
images = np.load({str(path)!r}, mmap_mode="c")
params = dict(layers=[8], latent_size=3, activation="relu", epochs=1, batch_size=1024, optimizer="adam",
              learning_rate=0.01, schedule="constant", seed=0)
prepare = lambda images: make_trainer(images, params, torch.device("cpu"))
prepare(images[:1024]).fit()
before = peak()
trainer = prepare(images)
trainer.fit(images)
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
        assert not any(state.any() for state in on_cuda.optimizer.state[on_cuda.parameters].values())

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
        assert not trainer(images, self.CUDA).rows.is_cuda
        assert curve(images, device=self.CUDA) == pytest.approx(resident, rel=1e-4)
