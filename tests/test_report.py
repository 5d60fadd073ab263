"""report: the pictures show what evaluate found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages import evaluate, report
from stages.shared.images.dataset import Dataset
from stages.shared.process.errors import InputError
from tests.inputs import noisy_images, random_autoencoder
from tests.test_evaluate import CHANNELS, DATASET, HEIGHT, NAMES, SIZE, WIDTH, configure, make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(project: Path, names: Sequence[str] = NAMES, test: int = 40) -> None:
    make(project, names=list(names), test=test)
    evaluate.main()


def test_two_pictures_of_nobodys_software(project: Path) -> None:
    evaluated(project)
    report.main()
    first = {path.name: path.read_bytes() for path in sorted(report.FOLDER.iterdir())}
    report.main()
    assert list(first) == ["confusion.png", "examples.png"]
    assert first == {path.name: path.read_bytes() for path in sorted(report.FOLDER.iterdir())}
    for name in first:
        with Image.open(report.FOLDER / name) as picture:
            assert picture.width > 400
            assert picture.getextrema() != picture.convert("1").getextrema()
            assert "Software" not in picture.info


@pytest.mark.parametrize("labelled", [True, False])
def test_examples_are_the_best_and_the_worst(labelled: bool) -> None:
    random = np.random.default_rng(0)
    images, labels = noisy_images(random, 40, SIZE)
    errors = random.permutation(40) / 1000
    of = Dataset(DATASET, NAMES if labelled else [])
    autoencoder = random_autoencoder(random, SIZE)
    figure = report.draw_examples(of, images, labels if labelled else None, autoencoder, errors, 3)
    best, worst = ([label.get_text().split("\n") for label in axes.get_xticklabels()] for axes in figure.axes)
    assert [error for _, error in best] == ["0.0000", "0.0010", "0.0020"]
    assert [error for _, error in worst] == ["0.0390", "0.0380", "0.0370"]
    indices = [int(np.flatnonzero(errors == rank / 1000)[0]) for rank in range(3)]
    assert [name for name, _ in best] == [NAMES[labels[i]] if labelled else f"#{i}" for i in indices]
    sheet = figure.axes[0].images[0].get_array()
    assert sheet is not None
    assert sheet.shape[-1] == CHANNELS
    np.testing.assert_allclose(sheet[:HEIGHT, :WIDTH], images[errors.argmin()] / 255)
    assert DATASET in figure.get_suptitle()


def test_the_confusion_matrix_has_percentages_of_the_actual_class() -> None:
    figure = report.draw_confusion(Dataset(DATASET, NAMES), np.array([[19, 1, 0], [5, 5, 0], [0, 0, 0]]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["95", "5", "50", "50"]
    assert DATASET in figure.get_suptitle()
    assert "80.0 %" in figure.axes[0].get_title()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [0, 1, 2, 40, 300])
def test_any_number_of_classes(count: int, project: Path) -> None:
    evaluated(project, [f"class number {label}" for label in range(count)])
    report.main()
    with Image.open(report.FOLDER / "confusion.png") as picture:
        assert max(picture.size) < 4000


def test_refuses_more_examples_than_images(project: Path) -> None:
    evaluated(project, test=12)
    configure(project, "report", examples=13)
    with pytest.raises(InputError, match=r"report.examples: expected at most 12, the test images, got 13"):
        report.main()
    assert not report.FOLDER.exists()
