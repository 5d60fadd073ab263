"""Test error of the recipe for pictures as a share of PCA's, on folders of nine kinds: a table of `docs/components.md`.

    apt-get install oxygen-icon-theme npm
    python -m benchmarks.components make FOLDER          write the sets as folders of PNGs, copies removed
    python -m benchmarks.components scale                CPU seconds beside training on pixels; no FOLDER
    python -m benchmarks.components FOLDER [key=value …] train on each, with such params changed

set          pictures  size         latents   from
icons             590  64 x 64 RGB  3, 8, 32  Debian's oxygen-icon-theme
emoji           1,897  48 x 48 RGB  8         npm's emoji-datasource-google 16.0.0, 64 px, without skin tones
emoji-300, emoji-120, emoji-60      3, 8, 16  so many of these, drawn by a seed
digits          1,797  8 x 8 gray   3, 8      scikit-learn's load_digits
photos            520  32 x 32 RGB  3, 8      crops of scikit-learn's two sample photographs
faces-100         100  25 x 25 gray 8         scikit-image's lfw_subset, the faces
faces-200         200  25 x 25 gray 8         the same, faces and other crops

Each has three splits, download.seed 0, 1 and 2, and PCA has as many components as the network latents. Both are clipped
to [0, 1].
"""

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import yaml
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.data import ROOT, recipe
from benchmarks.measure import machine, table
from stages import download
from stages.shared.arrays import Uint8
from stages.shared.model.pca import Pca
from stages.shared.scores.metrics import reconstruction_errors
from stages.shared.training.build import make_trainer, train_autoencoder

ICONS = Path("/usr/share/icons/oxygen/base/64x64")
EMOJI = "emoji-datasource-google@16.0.0"
PLOTTED = 7  # seed of the subsets
SPLITS = range(3)

Pictures = Iterator[tuple[str, str, Image.Image]]  # class, name, picture


def icons() -> Pictures:
    for path in sorted(ICONS.glob("*/*.png")):
        yield path.parent.name, path.stem, Image.open(path)


def emoji(count: int | None = None) -> Pictures:
    with TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", EMOJI], cwd=folder, check=True, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:

            def read(path: str) -> bytes:
                file = package.extractfile(f"package/{path}")
                assert file
                return file.read()

            names = set(package.getnames())
            listed = [
                each for each in json.loads(read("emoji.json")) if f"package/img/google/64/{each['image']}" in names
            ]
            if count:
                drawn = np.random.default_rng(PLOTTED).permutation(len(listed))[:count]
                listed = [listed[index] for index in sorted(drawn)]
            for each in listed:
                picture = Image.open(io.BytesIO(read(f"img/google/64/{each['image']}")))
                yield each["category"], Path(each["image"]).stem, picture


def digits() -> Pictures:
    from sklearn.datasets import load_digits

    data = load_digits()
    for index, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
        yield str(label), f"{index:04}", Image.fromarray((image / 16 * 255).round().astype(np.uint8))


def photos() -> Pictures:
    from sklearn.datasets import load_sample_images

    data = load_sample_images()
    for image, name in zip(data.images, data.filenames, strict=True):
        for top in range(0, image.shape[0] - 31, 32):
            for left in range(0, image.shape[1] - 31, 32):
                crop = image[top : top + 32, left : left + 32]
                yield Path(name).stem, f"{top:03}-{left:03}", Image.fromarray(np.ascontiguousarray(crop))


def faces(count: int) -> Pictures:
    from skimage.data import lfw_subset

    images = lfw_subset()[:count]
    for index, image in enumerate((images / images.max() * 255).round().astype(np.uint8)):
        yield "face" if index < 100 else "other", f"{index:03}", Image.fromarray(image)


# By name: what makes the pictures, height and width, color, and the latent sizes.
SETS: dict[str, tuple[Callable[[], Pictures], int, str, list[int]]] = {
    "icons": (icons, 64, "rgb", [3, 8, 32]),
    "emoji": (emoji, 48, "rgb", [8]),
    "emoji-300": (partial(emoji, 300), 48, "rgb", [3, 8, 16]),
    "emoji-120": (partial(emoji, 120), 48, "rgb", [3, 8, 16]),
    "emoji-60": (partial(emoji, 60), 48, "rgb", [3, 8, 16]),
    "digits": (digits, 8, "gray", [3, 8]),
    "photos": (photos, 32, "rgb", [3, 8]),
    "faces-100": (partial(faces, 100), 25, "gray", [8]),
    "faces-200": (partial(faces, 200), 25, "gray", [8]),
}


def make(folder: Path) -> None:
    """Write every set below `folder`, without exact copies."""
    for name, (pictures, *_) in SETS.items():
        seen = set()
        for group, stem, picture in pictures():
            pixels = (picture.size, picture.convert("RGBA").tobytes())
            if pixels not in seen:
                path = folder / name / group.replace("/", "-") / f"{stem}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
                seen.add(pixels)
        print(f"{name}: {len(seen)} pictures")


def read(folder: Path, name: str, seed: int) -> tuple[Uint8, Uint8]:
    """A split of a set, as `download` makes it: training and test images."""
    _, side, color, _ = SETS[name]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())["download"]
    changes = {"source": str(folder.resolve() / name), "height": side, "width": side, "color": color, "seed": seed}
    with TemporaryDirectory() as scratch, chdir(scratch):
        Path("params.yaml").write_text(yaml.safe_dump({"download": params | changes}))
        download.main()
        train, test = (np.load(f"data/download/{split}_images.npy") for split in ("train", "test"))
    return train, test


WIDE = {"layers": [512, 128], "schedule": "one-cycle", "learning_rate": 0.002}
SCALES = {"1,500 of 64 x 64 RGB": (1_500, 64, 100), "20,000 of 128 x 128 RGB": (20_000, 128, 1)}


def scale() -> None:
    """CPU seconds of the parts of a training, on pictures made of a few smooth factors and noise."""
    torch.set_num_threads(1)
    rows = []
    for name, (count, side, epochs) in SCALES.items():
        random = np.random.default_rng(0)
        factors = np.asarray(random.normal(size=(60, side, side, 3)).cumsum(1).cumsum(2), np.float32)
        images = np.empty((count, side, side, 3), np.uint8)
        for image in images:
            weights = random.normal(size=60) * 0.95 ** np.arange(60)
            noise = random.normal(0, 4, image.shape)
            image[:] = (np.tensordot(weights, factors, 1) * (60 / side) + 128 + noise).clip(0, 255)
        cpu, times = torch.device("cpu"), [time.process_time()]
        trainer = make_trainer(images, recipe({"latent_size": 8}, "components"), cpu)
        times.append(time.process_time())
        trainer.fit()
        times.append(time.process_time())
        epoch = (times[2] - times[1]) / 1500 * -(-count // 64)
        wide = make_trainer(images[: min(count, 1_500)], recipe(WIDE | {"latent_size": 8, "epochs": 1}), cpu)
        times.append(time.process_time())
        wide.fit()
        pixels = (time.process_time() - times[3]) * max(1, count / 1_500)
        whole = times[2] - times[0]
        rows.append([name, times[1] - times[0], epoch, whole, pixels, pixels * epochs / whole, pixels / epoch])
    header = ["pictures", "PCA and projection, s", "epoch, s", "whole training, s", "epoch in pixels, s"]
    print(table([*header, "trainings, times", "epochs, times"], rows))


def main() -> None:
    first, *others = sys.argv[1:] or sys.exit(__doc__)
    threadpool_limits(1)  # as in a stage: see stages/shared/environment.py
    if first == "scale":
        scale()
        return
    if first == "make":
        make(Path(others[0]))
        return
    changes = {key: yaml.safe_load(value) for key, value in (other.split("=", 1) for other in others)}
    torch.set_num_threads(1)
    rows, shares, seconds = [], [], 0.0
    for name, (*_, sizes) in SETS.items():
        splits = [read(Path(first), name, seed) for seed in SPLITS]
        for latent_size in sizes:
            own = []
            for train, test in splits:
                start = time.process_time()
                autoencoder = train_autoencoder(train, recipe(changes | {"latent_size": latent_size}, "components"))
                seconds += time.process_time() - start
                pca = Pca.fit(train, latent_size, 0)
                errors = [reconstruction_errors(codec, test, codec.encode(test)).mean() for codec in (autoencoder, pca)]
                own.append(errors[0] / errors[1])
            shares += own
            print(f"{name}, {latent_size} latents:", *(f"{share:.4f}" for share in own), file=sys.stderr, flush=True)
            rows.append([name, latent_size, len(splits[0][0]), *(f"{share:.3f}" for share in own)])
    print(machine(torch.device("cpu")), end="\n\n")
    print(table(["set", "latents", "training pictures", *(f"split {seed}" for seed in SPLITS)], rows), end="\n\n")
    print(f"Below 1 in {sum(share < 1 for share in shares)} of {len(shares)}, {max(shares):.3f} at most, mean ", end="")
    print(f"{np.exp(np.mean(np.log(shares))):.3f} (geometric); {seconds / len(shares):.2f} s of CPU each.")


if __name__ == "__main__":
    main()
