"""Images in class folders become a trained model, through Spark and dlcache, in PyTorch and in Keras.

    python examples/digits.py                  the handwritten digits that scikit-learn ships
    python examples/digits.py --images DIR     your own folder of class folders
    python examples/digits.py                  once more: both caches hit, and Spark runs no job

Spark reads the files, takes the label from the folder's name and splits; `dlcache.cache` writes each part once. The
images are stored as they are, compressed, and decoded in the transform, on the way into a batch.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

import dlcache


def main() -> None:
    args = arguments()
    images = args.images or digits_as_png(args.out / "digits")
    classes = sorted(folder.name for folder in images.iterdir() if folder.is_dir())

    builder = SparkSession.builder.master("local[*]").appName("dlcache demo")
    spark = dlcache.configure(builder.config("spark.ui.showConsoleProgress", "false")).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    rows = labelled_images(spark, images, classes)
    train_rows, validation_rows = split(rows, seed=args.seed)
    train = cached("train", train_rows, args.out)
    validation = cached("validation", validation_rows, args.out)
    jobs = spark_jobs(spark)
    print(f"Spark ran {jobs} jobs" if jobs else "Spark ran no job: both parts were there, found by their plans")
    spark.stop()

    transform = decoder(args.size, "RGB" if args.rgb else "L")
    print(
        f"{args.out / 'samples.png'}: {draw_samples(validation, transform, classes, args.out / 'samples.png')} samples"
    )
    histories = {
        "PyTorch": train_torch(train, validation, transform, len(classes), args),
        "Keras": train_keras(train, validation, transform, len(classes), args),
    }
    draw_curves(histories, args.out / "curves.png")
    print(f"{args.out / 'curves.png'}: training curves")


# Spark: from files to two DataFrames


def labelled_images(spark: SparkSession, images: Path, classes: list[str]) -> DataFrame:
    """One row for each image: the file's bytes, and the position of its folder's name in `classes`."""
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.{png,jpg,jpeg,PNG,JPG,JPEG}")
        .load(str(images.resolve()))
    )
    folder = F.element_at(F.split("path", "/"), -2)
    names = F.array(*[F.lit(name) for name in classes])
    return files.select("content", (F.array_position(names, folder) - 1).alias("label"))


def split(rows: DataFrame, seed: int) -> tuple[DataFrame, DataFrame]:
    """Four fifths to train on and one to validate, by a hash of the image itself: the same in every run, and two copies
    of one image are never on both sides."""
    part = F.pmod(F.xxhash64("content", F.lit(seed)), F.lit(5))
    return rows.where(part != 0), rows.where(part == 0)


# dlcache: each DataFrame is written once


def cached(name: str, rows: DataFrame, out: Path) -> dlcache.Dataset:
    start = time.perf_counter()
    dataset = dlcache.cache(rows, root=out / "cache", shards=2)
    seconds = time.perf_counter() - start
    result = dataset.result
    print(
        f"{name:<10}  {'hit ' if result.hit else 'miss'}  {result.rows:>6,} rows  {result.shards} shards  "
        f"{result.bytes:>10,} bytes  {seconds:5.1f} s  key {result.digest[:12]}"
    )
    return dataset


def spark_jobs(spark: SparkSession) -> int:
    """How many jobs this session has run so far."""
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup())


def decoder(size: int, mode: str) -> dlcache.TransformSpec:
    """Compressed bytes to an array of (size, size, channels) in [0, 1]. The declared shape becomes the static shape."""
    channels = len(mode)

    def pixels(content: bytes) -> np.ndarray[Any, Any]:
        image = Image.open(io.BytesIO(content)).convert(mode).resize((size, size))
        return np.asarray(image, np.float32).reshape(size, size, channels) / 255

    def decode(batch: dict[str, Any]) -> dict[str, Any]:
        return {"image": np.stack([pixels(content) for content in batch["content"]]), "label": batch["label"]}

    return dlcache.TransformSpec(
        decode,
        edit_fields=[("image", np.float32, (size, size, channels), False)],
        removed_fields=["content"],
    )


# PyTorch


def train_torch(
    train: dlcache.Dataset, validation: dlcache.Dataset, transform: dlcache.TransformSpec, classes: int, args: Any
) -> dict[str, list[float]]:
    import torch
    from torch import nn

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # so small a network gains nothing from more
    model = nn.Sequential(
        nn.LazyConv2d(32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.LazyLinear(classes),
    )
    batches = train.torch(batch_size=args.batch_size, shuffle=True, seed=args.seed, transform=transform)
    held_out = validation.torch(batch_size=256, transform=transform)
    model(next(iter(held_out))["image"].permute(0, 3, 1, 2))  # the lazy layers learn their shapes
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    start = time.perf_counter()
    for _ in range(args.epochs):
        model.train()
        losses = []
        for batch in batches:
            loss = nn.functional.cross_entropy(model(batch["image"].permute(0, 3, 1, 2)), batch["label"])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(batch["image"].permute(0, 3, 1, 2)).argmax(1) == batch["label"]).sum()) for batch in held_out
            )
        history["loss"].append(float(np.mean(losses)))
        history["accuracy"].append(right / len(validation))
    report("PyTorch", history, time.perf_counter() - start)
    return history


# Keras


def train_keras(
    train: dlcache.Dataset, validation: dlcache.Dataset, transform: dlcache.TransformSpec, classes: int, args: Any
) -> dict[str, list[float]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    keras.utils.set_random_seed(args.seed)
    model = keras.Sequential(
        [
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    start = time.perf_counter()
    fitted = model.fit(
        train.tf(
            batch_size=args.batch_size, shuffle=True, seed=args.seed, transform=transform, output=("image", "label")
        ),
        validation_data=validation.tf(batch_size=256, transform=transform, output=("image", "label")),
        epochs=args.epochs,
        shuffle=False,  # the dataset does it
        verbose=0,
    )
    history = {"loss": fitted.history["loss"], "accuracy": fitted.history["val_accuracy"]}
    report("Keras", history, time.perf_counter() - start)
    return history


# What one sees


def report(framework: str, history: dict[str, list[float]], seconds: float) -> None:
    print(
        f"{framework:<10}  {len(history['loss'])} epochs  {seconds:5.1f} s  loss {history['loss'][-1]:.4f}  "
        f"validation accuracy {history['accuracy'][-1]:.4f}"
    )


def draw_samples(
    dataset: dlcache.Dataset, transform: dlcache.TransformSpec, classes: list[str], file: Path, count: int = 32
) -> int:
    """A picture of images with their labels, as the model sees them."""
    batch = next(iter(dataset.numpy(batch_size=min(count, len(dataset)), shuffle=True, transform=transform)))
    figure, axes = pyplot().subplots(4, 8, figsize=(8, 4.6), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, label in zip(axes.flat, batch["image"], batch["label"], strict=False):
        axis.imshow(image.squeeze(), cmap="gray")
        axis.set_title(classes[label], fontsize=9)
    figure.savefig(file, dpi=120)
    return len(batch["label"])


def draw_curves(histories: dict[str, dict[str, list[float]]], file: Path) -> None:
    """Training loss and validation accuracy by epoch, one line for each framework."""
    figure, axes = pyplot().subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, key, title in zip(axes, ("loss", "accuracy"), ("training loss", "validation accuracy"), strict=True):
        for framework, history in histories.items():
            axis.plot(range(1, len(history[key]) + 1), history[key], marker="o", label=framework)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(file, dpi=120)


def pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def digits_as_png(folder: Path) -> Path:
    """scikit-learn's 1,797 handwritten digits as `folder/<digit>/<number>.png`, unless they are there."""
    if not folder.exists():
        from sklearn.datasets import load_digits

        digits = load_digits()
        unfinished = folder.with_name(folder.name + ".unfinished")
        for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            file = unfinished / str(label) / f"{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(image * 255 / 16).astype(np.uint8)).save(file)
        unfinished.rename(folder)
    return folder


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="a folder of class folders (default: scikit-learn's digits)")
    parser.add_argument("--size", type=int, default=8, help="height and width that images are scaled to")
    parser.add_argument("--rgb", action="store_true", help="three channels (default: grey)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the order and the weights")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="where pictures and datasets go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args


if __name__ == "__main__":
    main()
