"""A script of Petastorm's Spark converter, for TensorFlow: only its import lines are dlcache's.

    python examples/converter_tf.py                   train in this process
    python examples/converter_tf.py --distributed     and then in two, as tasks of a Spark barrier stage

The images are handwritten digits, as PNG files. They are decoded in the transform; what the converters have written
goes when the script ends. The two tasks average their weights after each epoch; a script with Horovod gives
`hvd.rank()` and `hvd.size()` to the same two arguments.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from digits import digits_as_png, labelled_images, split
from PIL import Image
from pyspark import BarrierTaskContext
from pyspark.sql import SparkSession

# from petastorm import TransformSpec
# from petastorm.spark import SparkDatasetConverter, make_spark_converter
from dlcache.converter import SparkDatasetConverter, TransformSpec, make_spark_converter

BATCH_SIZE = 32


def pixels(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)), np.float32)[..., np.newaxis] / 16 - 8


def transform_row(batch: pd.DataFrame) -> pd.DataFrame:
    batch["features"] = batch["content"].map(pixels)
    return batch.drop(columns=["content"])


def get_transform_spec() -> TransformSpec:
    return TransformSpec(
        transform_row,
        edit_fields=[("features", np.float32, (8, 8, 1), False)],
        selected_fields=["features", "label"],
    )


def get_model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    return model


def evaluate(model: Any, converter: SparkDatasetConverter) -> tuple[float, int]:
    """The accuracy on all rows, each once, and how many they were."""
    right = rows = 0
    with converter.make_tf_dataset(transform_spec=get_transform_spec(), batch_size=BATCH_SIZE, num_epochs=1) as dataset:
        for batch in dataset:
            right += int((model(batch.features).numpy().argmax(1) == batch.label.numpy()).sum())
            rows += len(batch.label)
    return right / rows, rows


def train_and_evaluate(
    converter_train: SparkDatasetConverter, converter_val: SparkDatasetConverter, epochs: int
) -> tuple[float, int]:
    model = get_model()
    with converter_train.make_tf_dataset(transform_spec=get_transform_spec(), batch_size=BATCH_SIZE) as train_dataset:
        # TensorFlow's records are namedtuples; Keras takes tuples
        train_dataset = train_dataset.map(lambda x: (x.features, x.label))
        steps_per_epoch = len(converter_train) // BATCH_SIZE
        model.fit(train_dataset, steps_per_epoch=steps_per_epoch, epochs=epochs, verbose=0)
    return evaluate(model, converter_val)


def train_and_evaluate_distributed(
    converter_train: SparkDatasetConverter, converter_val: SparkDatasetConverter, epochs: int
) -> tuple[float, int]:
    """The same in each process: two arguments more, cur_shard and shard_count."""
    context = BarrierTaskContext.get()
    rank, size = context.partitionId(), len(context.getTaskInfos())
    model = get_model()
    with converter_train.make_tf_dataset(
        transform_spec=get_transform_spec(), batch_size=BATCH_SIZE, cur_shard=rank, shard_count=size
    ) as train_dataset:
        batches = train_dataset.map(lambda x: (x.features, x.label))
        steps_per_epoch = len(converter_train) // (BATCH_SIZE * size)
        for _ in range(epochs):
            model.fit(batches, steps_per_epoch=steps_per_epoch, verbose=0)
            mine = base64.b64encode(pickle.dumps(model.get_weights())).decode()
            everyones = [pickle.loads(base64.b64decode(text)) for text in context.allGather(mine)]
            model.set_weights([np.mean(weights, axis=0) for weights in zip(*everyones, strict=True)])
    return evaluate(model, converter_val)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--distributed", action="store_true", help="train in two processes too")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="where the images and the cache go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    images = digits_as_png(args.out / "digits")

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # for the tasks
    spark = SparkSession.builder.master("local[2]").appName("converter").getOrCreate()
    spark.conf.set(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF, (args.out / "converter").resolve().as_uri())
    df_train, df_val = split(labelled_images(spark, images, list("0123456789")), seed=0)
    converter_train = make_spark_converter(df_train)
    converter_val = make_spark_converter(df_val)
    print(f"train: {len(converter_train)} rows, val: {len(converter_val)} rows")

    accuracy, rows = train_and_evaluate(converter_train, converter_val, args.epochs)
    print(f"TensorFlow: accuracy {accuracy:.4f} on {rows} rows")
    if args.distributed:

        def task(_: Iterator[Any]) -> Iterator[tuple[float, int]]:
            yield train_and_evaluate_distributed(converter_train, converter_val, args.epochs)

        results = spark.sparkContext.parallelize(range(2), 2).barrier().mapPartitions(task).collect()
        for rank, (accuracy, rows) in enumerate(results):
            print(f"TensorFlow, task {rank} of two: accuracy {accuracy:.4f} on {rows} rows")


if __name__ == "__main__":
    main()
