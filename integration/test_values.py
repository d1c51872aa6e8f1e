"""What loaders deliver beside what Spark collects: decimals, labels of Spark ML, and dates that Python has not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.ml.feature import Bucketizer, StringIndexer
from pyspark.sql import functions as F  # noqa: N812

import dlcache
from dlcache.converter import make_spark_converter


@pytest.fixture(scope="module")
def animals(spark: Any) -> Any:
    data = spark.range(60).selectExpr(
        "id",
        "element_at(array('cat', 'dog', 'cow'), cast(id % 7 % 3 as int) + 1) AS animal",
        "if(id % 4 = 0, 1.0, 0.0) AS target",
        "id / 4D AS x",
        "cast(id as decimal(38, 6)) / 7 AS wide",
        "array(cast(id as decimal(38, 2)), 0.25) AS pair",
        "transform(sequence(0, cast(id % 3 as int)), i -> cast(i as decimal(20, 1)) + 0.1) AS some",
        "map('k', cast(id as decimal(4, 1))) AS map",
    )
    indexed = StringIndexer(inputCol="animal", outputCol="label").fit(data).transform(data)
    return Bucketizer(inputCol="x", outputCol="bucket", splits=[0, 5, 10, 15]).transform(indexed).coalesce(1)


@pytest.mark.parametrize("dtype", ["float32", None])
def test_decimals_are_what_spark_collects(animals: Any, tmp_path: Path, dtype: Any) -> None:
    dataset = dlcache.cache(animals, root=tmp_path, dtype=dtype, progress=False)
    rows, floating = animals.collect(), np.dtype(dtype or "float64")
    batch = next(iter(dataset.numpy(60)))
    for name in ("target", "wide"):
        assert batch[name].dtype == floating
        assert batch[name].tolist() == [float(floating.type(float(row[name]))) for row in rows]
    assert batch["pair"].values.dtype == batch["some"].values.dtype == floating
    for name in ("pair", "some"):
        wanted = [[float(floating.type(float(item))) for item in row[name]] for row in rows]
        assert [batch[name][at].tolist() for at in range(60)] == wanted
    assert [dict(value) for value in batch["map"]] == [{"k": float(row["map"]["k"])} for row in rows]
    exact = dataset.gather(range(60), ["target", "wide", "some", "map"], decimals="object")
    for name in ("target", "wide", "some"):
        assert exact[name].tolist() == [row[name] for row in rows]
    assert [dict(value) for value in exact["map"]] == [row["map"] for row in rows]
    assert dataset.gather([4], ["target"], decimals="unscaled")["target"].tolist() == [10]
    assert dataset.class_counts("target") == {0.0: 45, 1.0: 15}
    assert dataset.stats("target")["mean"] == 0.25
    assert len(dataset.filter(("target", "==", Decimal(1)))) == 15


def test_labels_of_spark_ml_train_as_they_are(spark: Any, animals: Any, tmp_path: Path) -> None:
    labels = tuple(animals.schema["label"].metadata["ml_attr"]["vals"])
    paths = [str(tmp_path / name) for name in ("written", "cached")]
    animals.write.format("dlcache").save(paths[0])
    dlcache.cache(animals, paths[1], progress=False)
    names = [row["animal"] for row in animals.select("animal").collect()]
    for path in paths:
        dataset = dlcache.load(path)
        assert dataset.schema["label"].dtype == dataset.schema["bucket"].dtype == np.int64
        assert dataset.vocabulary("label") == labels
        assert [labels[label] for label in dataset.gather(range(60), ["label"])["label"]] == names
        counts = dataset.class_counts("label")
        assert counts == {code: names.count(label) for code, label in enumerate(labels)}
        weights = torch.tensor(list(dataset.class_weights("label").values()), dtype=torch.float32)
        batch = next(iter(dataset.torch(60)))
        assert torch.nn.functional.cross_entropy(torch.zeros(60, 3), batch["label"], weights).item() > 0
        back = spark.read.format("dlcache").load(path)
        assert back.schema["label"] == animals.schema["label"]
        assert back.select("label", "bucket").collect() == animals.select("label", "bucket").collect()
        assert back.where(F.col("label") == 1.0).count() == counts[1]


def test_the_converter_delivers_labels_and_decimals_as_numbers(animals: Any) -> None:
    converter = make_spark_converter(animals.select("id", "label", "target"))
    with converter.make_torch_dataloader(batch_size=60, num_epochs=1) as loader:
        batch = next(iter(loader))
    assert batch["label"].dtype == torch.int64
    assert batch["target"].dtype == torch.float32
    assert batch["target"].sum().item() == 15
    converter.delete()


def test_a_fraction_in_a_categorical_column_says_how_to_keep_it(animals: Any, tmp_path: Path) -> None:
    metadata = animals.schema["label"].metadata
    wrong = animals.select((F.col("label") + 0.5).alias("label")).withMetadata("label", metadata)
    with pytest.raises(dlcache.WriteError, match=r"`label` has the value .\.5.*withMetadata") as raised:
        dlcache.cache(wrong, root=tmp_path, progress=False)
    assert raised.value.condition == "DLCACHE_CLASS_NUMBER_INVALID"
    plain = dlcache.cache(wrong.withMetadata("label", {}), root=tmp_path, progress=False)
    assert plain.schema["label"].dtype == np.float32
    with pytest.raises(dlcache.OptionError, match="cast"):
        plain.class_weights("label")


def test_dates_of_any_year_are_numbers_and_named_inside_maps(spark: Any, tmp_path: Path) -> None:
    far = spark.sql("SELECT date_add(date'9999-12-31', 1) AS day, map('k', date_add(date'9999-12-31', 1)) AS inside")
    dataset = dlcache.cache(far, root=tmp_path, progress=False)
    assert dataset.gather([0], ["day"])["day"].tolist() == [2_932_897]
    with pytest.raises(dlcache.ColumnError, match="'inside' has the date 10000-01-01"):
        next(iter(dataset.torch(columns=["inside"])))
