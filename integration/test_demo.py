"""The example, as a user runs it: twice, and on a folder of one's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "digits.py"
# The package of this checkout, installed or not.
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])}


def demo(*arguments: str | Path) -> str:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_the_digits_twice(tmp_path: Path) -> None:
    first = demo("--out", tmp_path, "--epochs", "6")
    second = demo("--out", tmp_path, "--epochs", "1")
    assert re.findall(r"^(train|validation) +(miss|hit)", first, re.M) == [("train", "miss"), ("validation", "miss")]
    assert re.findall(r"^(train|validation) +(miss|hit)", second, re.M) == [("train", "hit"), ("validation", "hit")]
    assert re.search(r"Spark ran [1-9]\d* jobs", first)
    assert "Spark ran no job" in second
    rows = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) rows", first)]
    assert sum(rows) == 1797
    accuracies = {name: float(value) for name, value in re.findall(r"(\w+) .* validation accuracy ([\d.]+)", first)}
    assert accuracies.keys() == {"PyTorch", "Keras"}
    assert min(accuracies.values()) >= 0.95
    for picture in ("samples.png", "curves.png"):
        with Image.open(tmp_path / picture) as image:
            assert image.width > 400


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    """Colour photographs of two sizes, in class folders whose names are not numbers."""
    random = np.random.default_rng(0)
    for label, colour in (("red things", (200, 30, 30)), ("blå", (30, 30, 200))):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for number in range(20):
            height, width = (12, 9) if number % 2 else (20, 16)
            pixels = random.integers(0, 40, (height, width, 3)) + np.array(colour)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    printed = demo("--images", tmp_path / "images", "--rgb", "--size", "16", "--epochs", "2", "--out", tmp_path / "out")
    assert sum(int(number) for number in re.findall(r"(\d+) rows", printed)) == 40
    assert (tmp_path / "out" / "curves.png").exists()
