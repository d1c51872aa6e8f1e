"""A small Keras training that runs alone, and as a worker of a cluster where TF_CONFIG says so. Each worker writes what
it saw: the rows that it read, the losses of the epochs, and the evaluation, which is the same on all workers.

Keras 2 (the package tf_keras): the `fit` of Keras 3 does not work under a MultiWorkerMirroredStrategy.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf

import dlcache

GLOBAL_BATCH = 24
EPOCHS = 2


def train(dataset: dlcache.Dataset, out: str) -> None:
    """Train for EPOCHS with a global batch of GLOBAL_BATCH rows, then evaluate."""
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task")
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if task else tf.distribute.get_strategy()
    batch_size = GLOBAL_BATCH // strategy.num_replicas_in_sync
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        layers = [tf.keras.layers.Input((4,)), tf.keras.layers.Dense(8, "tanh"), tf.keras.layers.Dense(1)]
        model = tf.keras.Sequential(layers)
        model.compile(tf.keras.optimizers.SGD(0.05), "mse", weighted_metrics=["mse"])
    rows: list[list[int]] = []

    def note(batch: dict[str, Any]) -> dict[str, Any]:
        rows.append(batch.pop("id").tolist())
        return batch

    noting = dlcache.TransformSpec(note, edit_fields=[], removed_fields=["id"])
    options = {"columns": ["id", "x", "y"], "output": ("x", "y"), "transform": noting}
    batches = dataset.tf(batch_size, shuffle=True, remainder="pad", **options)
    steps: list[int] = []
    count = tf.keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    losses = model.fit(batches, epochs=EPOCHS, verbose=0, callbacks=[count]).history["loss"]
    trained, rows[:] = list(rows), []
    mse = model.evaluate(dataset.tf(batch_size, remainder="mask", **options), verbose=0)[1]
    arrays = dataset.gather(range(len(dataset)), ["x", "y"])
    errors = (model(arrays["x"]).numpy()[:, 0] - arrays["y"]) ** 2
    saw = {"rows": trained, "steps": steps, "losses": losses, "evaluated": rows, "mse": mse, "exact": errors.mean()}
    Path(out, f"{task['index'] if task else 0}.json").write_text(json.dumps(saw, default=float))


if __name__ == "__main__":
    train(dlcache.load(sys.argv[1]), sys.argv[2])
