"""Growth: time and peak memory of the train stage's work against images, epochs, batch size and layer width."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.data import Data, tile
from benchmarks.measure import table

if TYPE_CHECKING:
    import torch

RECIPE: dict[str, Any] = {
    "recipe": "pixels",
    "validation": 0,
    "layers": [128, 64, 12],
    "latent_size": 3,
    "activation": "relu",
    "epochs": 1,
    "batch_size": 64,
    "loss": "mse",
    "optimizer": "adam",
    "learning_rate": 0.005,
    "schedule": "constant",
    "noise": 0,
    "noise_kind": "gaussian",
    "processes": 1,
    "seed": 0,
}
IMAGES = 60_000
AXES: dict[str, list[int]] = {
    "images": [6_000, 60_000, 200_000, 600_000],
    "epochs": [1, 2, 4, 8],
    "batch size": [16, 64, 256, 1024, 4096],
    "first layer's width": [32, 128, 512, 2048],
}
Run = dict[str, float]  # seconds; memory, in MiB over torch imported; data, in MiB


def changed(axis: str, value: int) -> dict[str, Any]:
    """The arguments of `measure` for one point of one axis."""
    match axis:
        case "images":
            return {"images": value, "recipe": RECIPE}
        case "epochs":
            return {"images": 6_000, "recipe": RECIPE | {"epochs": value}}
        case "batch size":
            return {"images": IMAGES, "recipe": RECIPE | {"batch_size": value}}
        case _:
            return {"images": 6_000, "recipe": RECIPE | {"layers": [value, 64, 12]}}


def measure(path: str, images: int, recipe: dict[str, Any], device: str, threads: int) -> Run:
    """Train on the first `images` of the file at `path`; for a process of its own, since a peak never falls."""
    import torch

    from benchmarks.measure import seconds
    from stages.shared.formats import read_array
    from stages.train import choose_device, train

    on = choose_device(device)
    before = peak()
    training = recipe | {"device": device, "threads": threads}
    data = read_array(Path(path), "uint8", (None, None, None, None))[:images]
    with TemporaryDirectory() as folder:
        taken = seconds(lambda: train(training, data, data[: images // 6], on, Path(folder)), on)
    on_device = torch.cuda.max_memory_allocated() if on.type == "cuda" else 0
    return {
        "seconds": taken,
        "memory": (peak() - before) / 2**20,
        "device memory": on_device / 2**20,
        "data": data.nbytes / 2**20,
    }


def peak() -> int:
    """The most memory that this process ever held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose ru_maxrss begins at what the parent process held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes


def _run(**arguments: Any) -> Run:
    code = (
        "import json, sys; from benchmarks.growth import measure; print(json.dumps(measure(**json.loads(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    run: Run = json.loads(result.stdout.splitlines()[-1])
    return run


def growth(data: Data, device: "torch.device", threads: int, picture: Path) -> str:
    """Measure every point of every axis, draw them, and give their table."""
    runs: dict[str, dict[int, Run]] = {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        tile(data.train_images, max(AXES["images"]), path)
        for axis, values in AXES.items():
            runs[axis] = {
                value: _run(path=str(path), device=device.type, threads=threads, **changed(axis, value))
                for value in values
            }
    _draw(runs, f"{data.dataset}, tiled", picture)
    rows = [
        [axis, f"{value:,}", f"{run['seconds']:.2f}", f"{run['memory']:.0f}", f"{run['data']:.0f}"]
        + ([f"{run['device memory']:.0f}"] if device.type == "cuda" else [])
        for axis, by_value in runs.items()
        for value, run in by_value.items()
    ]
    header = ["varied setting", "value", "s", "peak MiB, in addition to `import torch`", "size of the images, MiB"]
    header += ["peak MiB on the device"] if device.type == "cuda" else []
    introduction = (
        "Each row measures one training with the recipe `pixels`, in its own process. One setting varies. The others "
        f"are 6,000 images ({IMAGES:,} in the rows for the batch size), 1 epoch, batch size 64, and a first layer of "
        "width 128. Some rows have the same settings; their times differ because the speed of the machine varies."
    )
    return f"{introduction}\n\n{table(header, rows)}"


def _draw(runs: dict[str, dict[int, Run]], dataset: str, picture: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    figure.suptitle(f"The train stage's time and peak memory ({dataset})")
    for column, (axis, by_value) in enumerate(runs.items()):
        for row, (quantity, unit) in enumerate((("seconds", "s"), ("memory", "MiB over torch imported"))):
            axes = figure.add_subplot(2, len(runs), row * len(runs) + column + 1)
            axes.plot(list(by_value), [run[quantity] for run in by_value.values()], "o-", label=quantity)
            if quantity == "memory":
                axes.plot(list(by_value), [run["data"] for run in by_value.values()], ":", label="the images as uint8")
            axes.set(ylim=(0, None))
            if axis == "batch size":  # whose effect is not a straight line
                axes.set(xscale="log", xticks=list(by_value))
                axes.minorticks_off()
            else:
                axes.locator_params(axis="x", nbins=4)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.tick_params(axis="x", labelsize=8)
            axes.set_xlabel(axis if row else "")
            axes.set_ylabel("" if column else unit)
            if quantity == "memory" and not column:
                axes.legend(fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=90, metadata={"Software": None})
