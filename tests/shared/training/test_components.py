"""Training in principal components: which recipe is taken, what comes out of it, and edges."""

import csv
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from stages import explore
from stages.shared.arrays import Uint8
from stages.shared.images.dataset import DatasetInfo
from stages.shared.images.pictures import Pictures
from stages.shared.model import history
from stages.shared.model.autoencoder import COMPONENTS_FILE, Autoencoder
from stages.shared.model.operations import KINDS, apply
from stages.shared.model.pca import Pca
from stages.shared.runtime.errors import InputError
from stages.shared.training.build import make_trainer
from stages.shared.training.components import Components, mirrors_help, with_mirrors
from stages.shared.training.store import CheckpointStore
from stages.train import Choice, Params
from tests.explorer.fixtures import Open
from tests.explorer.made import Made
from tests.inputs import write_download
from tests.project import ROOT, Project, merge

SECTIONS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
SMALL = {"device": "cpu", "latent_size": 2, "checkpoints": 4, "components": {"steps": 200}}
CPU = torch.device("cpu")


def pictures(count: int, seed: int = 0, side: int = 12) -> Uint8:
    """A bright disc in a random place and color: few numbers tell a picture, and not linearly."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    centers = random.uniform(3, side - 3, (count, 2, 1, 1))
    disc = np.hypot(y - centers[:, 0], x - centers[:, 1]) < 3  # [count, side, side]
    colors = random.integers(100, 255, (count, 1, 1, 3))
    return np.where(disc[..., None], colors, 30).astype(np.uint8)


def give(root: Path, train: Uint8, test: Uint8, **changes: Any) -> Project:
    """A folder with these images in which stages may run."""
    splits = [(images, np.arange(len(images), dtype=np.uint16) % 2) for images in (train, test)]
    write_download(root, splits[0], splits[1], ["one", "other"], "discs")
    section = merge(merge(SECTIONS["train"], SMALL), changes)
    (root / "params.yaml").write_text(yaml.safe_dump(SECTIONS | {"train": section}))
    return Project(root)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = give(tmp_path_factory.mktemp("components"), pictures(90), pictures(40, 1))
    project.play("train", "extract", "evaluate", "explore")
    return project


def model(project: Project) -> Autoencoder:
    return Autoencoder.read(project.root / "data/train/autoencoder.safetensors")


def losses(project: Project) -> list[dict[str, float]]:
    with (project.root / "data/train/loss.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("recipe", "images", "numbers", "taken", "reason"),
    [
        ("auto", 60_000, 784, "pixels", "there are at least 5,000 training images, of at most 1,024 numbers"),
        ("auto", 5_000, 1_024, "pixels", "there are at least 5,000 training images, of at most 1,024 numbers"),
        ("auto", 4_999, 64, "components", "there are 4999 training images, fewer than 5,000"),
        ("auto", 5_000, 1_025, "components", "an image has 1,025 numbers, more than 1,024"),
        ("pixels", 60, 12_288, "pixels", "train.recipe is pixels"),
        ("components", 60_000, 784, "components", "train.recipe is components"),
    ],
)
def test_the_recipe_follows_the_images_or_is_asked_for(
    recipe: str, images: int, numbers: int, taken: str, reason: str
) -> None:
    p = Params.model_validate(SECTIONS["train"] | {"recipe": recipe})
    choice = Choice.make(p, images, numbers)
    assert choice == Choice(taken, reason)
    training = choice.flatten(p)
    assert (training["recipe"], training["reason"]) == (taken, reason)
    assert ("noise_kind" in training, "sign_flips" in training) == (taken == "pixels", taken == "components")


def test_what_is_trained_is_a_plain_network_better_than_pca(trained: Project) -> None:
    autoencoder = model(trained)
    kinds = [operation.kind for operation in autoencoder.encoder]
    assert kinds == ["linear", "linear", "silu", "linear", "silu", "linear"]
    assert autoencoder.decoder[-1].kind == "hardsigmoid"
    assert autoencoder.training["recipe"] == "components"
    figures = json.loads((trained.root / "data/evaluate/metrics.json").read_text())
    assert figures["test_mse"] < figures["pca_mse"] < figures["mean_image_mse"]
    assert (np.ptp(autoencoder.encode(pictures(40, 1)), axis=0) > 0.1).all(), "no dimension collapsed"


def test_pytorch_has_the_same_from_the_file(trained: Project) -> None:
    autoencoder, images = model(trained), pictures(40, 1)
    tensors = load_file(trained.root / "data/train/autoencoder.safetensors")
    parts = {}
    for name in ("encoder", "decoder"):
        modules = [getattr(nn, str(KINDS[of.kind].torch))(**of.settings) for of in getattr(autoencoder, name)]
        parts[name] = nn.Sequential(*modules)
        own = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(name)}
        parts[name].load_state_dict(own)
    with torch.no_grad():
        latents = parts["encoder"](torch.from_numpy(images.reshape(40, -1)).float() / 255)
        pixels = parts["decoder"](latents)
    np.testing.assert_allclose(autoencoder.encode(images), latents, atol=1e-4)
    np.testing.assert_allclose(autoencoder.decode(latents.numpy()).reshape(40, -1), pixels, atol=1e-5)


def test_losses_are_the_squared_errors_before_the_clip(trained: Project) -> None:
    autoencoder, rows = model(trained), losses(trained)
    unclipped = Autoencoder(autoencoder.encoder, autoencoder.decoder[:-1], *autoencoder.size, {})
    for name, images in (("train_loss", pictures(90)), ("test_loss", pictures(40, 1))):
        made = (unclipped.decode(autoencoder.encode(images)) + 3) / 6
        assert rows[-1][name] == pytest.approx(np.square(made - images / 255).mean(), rel=1e-4)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]


def test_checkpoints_share_their_components_in_one_file(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.root)
    folder = trained.root / "data/train/checkpoints"
    assert [losses.epoch for losses in history.read_history().losses] == [1, 2, 3, 4]
    images, last = pictures(5), model(trained)
    np.testing.assert_array_equal(Autoencoder.read(folder / "4.safetensors").encode(images), last.encode(images))
    first = Autoencoder.read(folder / "1.safetensors")
    assert np.abs(first.encode(images) - last.encode(images)).max() > 0.1
    assert (folder / "1.safetensors").stat().st_size < (
        folder.parent / "autoencoder.safetensors"
    ).stat().st_size - 2 * ((folder / COMPONENTS_FILE).stat().st_size - 1000)
    other = Autoencoder.read(folder.parent / "autoencoder.safetensors")
    other.encoder[0].tensors[0][0, 0] += 1
    other.decoder[-2].tensors[0][0, 0] += 1
    content = (folder / COMPONENTS_FILE).read_bytes()
    try:
        (folder / COMPONENTS_FILE).unlink()
        with pytest.raises(FileNotFoundError, match=r"components\.safetensors"):
            Autoencoder.read(folder / "1.safetensors")
        other.write(folder / "1.other", as_checkpoint=True)
        with pytest.raises(InputError, match=r"components\.safetensors: .*the components of the checkpoints in its"):
            Autoencoder.read(folder / "1.safetensors")
    finally:
        (folder / COMPONENTS_FILE).write_bytes(content)
        (folder / "1.other").unlink(missing_ok=True)


def test_the_page_decodes_as_pytorch_does(trained: Project, visit: Open) -> None:
    labels = np.zeros(90, np.int64)
    explorer = visit(Made(trained.root, pictures(90), labels, np.arange(90), "silu", 4))
    autoencoder, images = model(trained), pictures(90)
    latents = autoencoder.encode(images)
    encoded = explorer.get("list => list.map(explorer.encode)", (images.reshape(90, -1) / 255)[:20].tolist())
    np.testing.assert_allclose((encoded - latents[:20]) / np.ptp(latents, axis=0), 0, atol=1 / 500)
    decoded = explorer.get("list => list.map(latent => Array.from(explorer.decode(latent)))", latents[:20].tolist())
    np.testing.assert_allclose(decoded, autoencoder.decode(latents[:20]).reshape(20, -1), atol=1 / 255)


def test_the_components_never_see_what_is_held_out(tmp_path: Path) -> None:
    images = pictures(60)
    images[-20:] = 255 - images[-20:]
    project = give(tmp_path, images, pictures(20, 1), validation=20, checkpoints=1, components={"steps": 20})
    project.play("train")
    expected = Pca.fit(with_mirrors(images[:-20]), 48, SECTIONS["train"]["seed"]).components
    found = model(project).components
    assert found is not None
    np.testing.assert_allclose(found / 6, expected, atol=1e-6)
    assert set(losses(project)[0]) == {"epoch", "train_loss", "validation_loss"}


def test_a_resumed_training_is_the_same(tmp_path: Path) -> None:
    images = pictures(70)
    training = Choice("components", "").flatten(Params.model_validate(merge(SECTIONS["train"], SMALL)))
    whole = make_trainer(images, training, CPU)
    whole.fit()
    half = make_trainer(images, training | {"epochs": 4}, CPU)
    for _ in range(2):
        for indices in half.batches():
            half.train_batch(indices)
        half.end_epoch()
    for indices in list(half.batches())[:7]:
        half.train_batch(indices)
    rest = make_trainer(images, training, CPU)
    rest.restore(half.state())
    rest.fit()
    assert torch.equal(rest.parameters, whole.parameters)


def test_the_page_has_decoders_within_its_tolerance(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.root)
    monkeypatch.setattr(explore, "sheet", lambda *_, **__: bytes(10**6))  # never smaller than a decoder
    monkeypatch.setattr(explore, "PIXEL_TOLERANCE", 1e-4)  # which the fewest bits don't hold by chance
    autoencoder = Autoencoder.read()
    points = explore.read_points(autoencoder)
    pages = Pictures([], {})
    run = explore.Run(DatasetInfo.read(), points, pages, autoencoder, history.read_history(), [], None, {})
    shared = explore.small_shared(run)
    for epoch, times in [(1, 2), (3, 2), (4, 1)]:
        short = explore.snapshot(epoch, run, shared)
        assert short.decoder
        kept = Autoencoder.read(history.checkpoint(epoch))
        difference = np.abs(apply(short.decoder.operations, short.latents) - apply(kept.decoder, short.latents)).max()
        assert 0 < difference <= times * 1e-4, "rounded, and not too much"


def test_a_store_keeps_the_shared_components_and_notices_other_ones(tmp_path: Path, trained: Project) -> None:
    store = CheckpointStore(tmp_path)
    store.add(1, trained.root / "data/train/checkpoints/1.safetensors")
    state = {"counts": torch.tensor([1, 50])}
    store.save(state)
    assert Autoencoder.read(store.checkpoint(1)).size == (12, 12, 3)
    assert CheckpointStore(tmp_path).load(4, [1, 2, 3, 4]) is not None
    (tmp_path / COMPONENTS_FILE).unlink()
    (tmp_path / COMPONENTS_FILE).write_bytes(b"other")
    assert CheckpointStore(tmp_path).load(4, [1, 2, 3, 4]) is None


ALIKE = np.full((30, 8, 8, 3), 77, np.uint8)
LEVELS = (np.arange(30, dtype=np.uint8)[:, None, None, None] * 8 + np.zeros((1, 8, 8, 1), np.uint8)).astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "latent_size", "warning"),
    [
        (pictures(1), 2, "all training images are equal (1)"),
        (ALIKE, 2, "all training images are equal (30)"),
        (ALIKE * 0, 2, "all training images are equal (30)"),
        (LEVELS, 2, ""),
        (pictures(3), 2, ""),
        (pictures(9), 16, ""),
    ],
    ids=["one picture", "all alike", "all black", "one gray level each", "three", "latents above the rank"],
)
def test_little_to_learn_from_is_a_sensible_result(
    images: Uint8, latent_size: int, warning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = give(tmp_path, images, images[:5], latent_size=latent_size)
    project.play("train")
    said = capsys.readouterr().err
    assert warning in said
    assert bool(said) == bool(warning)
    autoencoder = model(project)
    made = autoencoder.decode(autoencoder.encode(images))
    assert np.isfinite(made).all()
    mean_error = np.square(images / 255 - images.mean(axis=0) / 255).mean()
    assert np.square(made - images / 255).mean() <= max(0.2 * mean_error, 1e-6)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"latent_size": 49}, "train.components.count: expected at least train.latent_size, 49, got 48"),
    ({"components": {"steps": 9}}, "train.components.schedule: one-cycle needs at least 10 steps"),
    ({"pixels": {"noise": 0.2}}, "train.pixels.noise: expected 0 with the recipe components"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_what_does_not_suit_is_refused_in_a_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    project = give(tmp_path, pictures(30), pictures(9, 1), **changes)
    with pytest.raises(InputError) as caught:
        project.play("train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sign_flips_fade_with_the_number_of_images_and_change_signs_alone() -> None:
    training = Choice("components", "").flatten(Params.model_validate(SECTIONS["train"])) | {"mirror_up_to": 0}
    shares = []
    for count in (40, 800, 3000):
        trainer = make_trainer(pictures(count), training, CPU)
        transform = trainer.transform
        assert transform
        transform.draw(7)
        x = torch.rand(64, trainer.rows.shape[1]) + 1
        flipped, target = transform.apply(x, transform.drawn)
        assert torch.equal(flipped, target)
        assert torch.equal(flipped.abs(), x)
        shares.append(int((flipped < 0).any(dim=1).sum()))
    assert shares == [61, 32, 13]  # 64 * 800 / (800 + count)
    assert make_trainer(pictures(40), training | {"sign_flips": 0}, CPU).transform is None


def test_mirror_images_are_used_for_few_images_that_pca_represents_better_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anywhere = pictures(60)
    always_left = np.where(np.arange(12)[:, None] < 6, anywhere, 30).astype(np.uint8)
    assert mirrors_help(anywhere, 2, 0)
    assert not mirrors_help(always_left, 2, 0)

    training = Choice("components", "").flatten(Params.model_validate(merge(SECTIONS["train"], SMALL)))
    with_and_without = [
        (anywhere, {}, 120),
        (anywhere, {"mirror_up_to": 60}, 120),
        (anywhere, {"mirror_up_to": 59}, 60),
        (always_left, {}, 60),
        (anywhere[:3], {}, 3),
    ]
    for images, changes, rows in with_and_without:
        assert len(make_trainer(images, training | changes, CPU).rows) == rows
    plain, exchanged = (make_trainer(images, training, CPU).rows.abs() for images in (anywhere, anywhere[:, :, ::-1]))
    np.testing.assert_allclose(exchanged[:60], plain[60:], atol=1e-4)
    np.testing.assert_allclose(exchanged[60:], plain[:60], atol=1e-4)

    for images, said in (anywhere, True), (always_left, False):
        give(tmp_path / str(said), images, pictures(20, 1), components={"steps": 20}).play("train")
        assert ("train: also trains on the images' mirror images" in capsys.readouterr().out) is said


@pytest.mark.parametrize("sign_flips", [0, 800])
def test_noise_is_on_the_input_alone_in_the_unit_of_pixels(sign_flips: int) -> None:
    training = Choice("components", "").flatten(Params.model_validate(SECTIONS["train"]))
    changes = {"mirror_up_to": 0, "batch_size": 5000, "sign_flips": sign_flips, "noise": 0.2, "scale": 3}
    trainer = make_trainer(pictures(60), training | changes, CPU)
    transform = trainer.transform
    assert transform
    x = torch.rand(5000, trainer.rows.shape[1]) + 1
    transform.draw(1)
    noisy, target = transform.apply(x, transform.drawn)
    assert torch.equal(target.abs(), x)
    assert isinstance(trainer.space, Components)
    pixels = (noisy - target).numpy() * trainer.space.unit @ trainer.space.pca.components  # the part in their span
    expected = 0.2 * np.linalg.norm(trainer.space.pca.components, axis=0)
    np.testing.assert_allclose(pixels.std(axis=0), expected, rtol=0.06)
    transform.draw(2)
    assert not torch.equal(transform.apply(x, transform.drawn)[0], noisy)
    transform.draw(1)
    assert torch.equal(transform.apply(x, transform.drawn)[0], noisy)


def test_equalize_raises_the_first_weights_of_components_with_less_variance() -> None:
    training = Choice("components", "").flatten(Params.model_validate(SECTIONS["train"]))
    weights = {}
    for power in (0, 0.5, 1):
        trainer = make_trainer(pictures(60), training | {"mirror_up_to": 0, "equalize": power}, CPU)
        weights[power] = next(trainer.network.parameters()).detach()  # [out, in]
    spread = trainer.rows.std(dim=0, correction=0)
    for power in (0.5, 1):
        torch.testing.assert_close(weights[power], weights[0] / (spread / spread[0]) ** power)


@pytest.mark.parametrize("scale", [1, 4])
def test_scores_are_brought_to_the_scale_and_pixels_back_from_it(scale: float) -> None:
    training = Choice("components", "").flatten(Params.model_validate(merge(SECTIONS["train"], SMALL)))
    images = pictures(60)
    trainer = make_trainer(images, training | {"scale": scale}, CPU)
    assert trainer.rows[:, :2].std(dim=0, correction=0).mean() == pytest.approx(scale, rel=1e-4)
    trainer.fit()
    autoencoder = trainer.space.autoencoder({})
    error = np.square(autoencoder.decode(autoencoder.encode(images)) - images / 255).mean()
    assert error == pytest.approx(trainer.losses[-1][0], rel=0.05), "but for the clip"


@contextmanager
def launching() -> Iterator[None]:
    """Set back what a launcher changes in this process, which has imported PyTorch."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)}
    with patch.dict("os.environ"):
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            for name, handler in handlers.items():
                signal.signal(name, handler)


def test_two_processes_train_alike(tmp_path: Path) -> None:
    one = give(tmp_path / "one", pictures(60), pictures(20, 1))
    two = give(tmp_path / "two", pictures(60), pictures(20, 1), processes=2)
    one.play("train")
    (two.root / "stages").symlink_to(ROOT / "stages")
    with launching():
        two.play("train")
    expected, found = losses(one), losses(two)
    assert [row["test_loss"] for row in found] == pytest.approx([row["test_loss"] for row in expected], rel=1e-3)
