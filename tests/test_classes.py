from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache import ColumnError, OptionError

ROWS = 120
CITIES = ["Ulm", "", "Zürich", "Basel"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    source = pa.table(
        {
            "id": np.arange(ROWS),
            "city": [CITIES[row % 7 % 4] for row in range(ROWS)],
            "place": [None if row % 5 == 0 else CITIES[row % 4] for row in range(ROWS)],
            "raw": pa.array([bytes([row % 3, 255]) for row in range(ROWS)], pa.binary()),
            "label": pa.array([None if row % 10 == 0 else row % 3 for row in range(ROWS)], pa.int32()),
            "good": np.arange(ROWS) % 4 == 0,
            "x": np.arange(ROWS) / 2,
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("classes"), source, shard_rows=50, row_group_rows=20))


def test_counts_are_one_pass_where_the_manifest_has_none(dataset: dlcache.Dataset) -> None:
    labels = Counter(row % 3 for row in range(ROWS) if row % 10)
    assert dataset.class_counts("label") == dict(sorted(labels.items()))
    assert dataset.class_counts("good") == {False: 90, True: 30}
    assert list(dataset.class_counts("city")) == sorted(CITIES)
    assert dataset.class_counts("raw") == {bytes([k, 255]): 40 for k in range(3)}
    few = dataset.filter(("id", "<", 9))
    assert few.class_counts("label") == {0: 2, 1: 3, 2: 3}
    assert dataset.filter(("id", "<", 0)).class_counts("label") == {}


def test_the_manifest_is_asked_first(tmp_path: Path) -> None:
    root = write(tmp_path, pa.table({"label": [0, 1, 1]}))
    file = next((root / "_dlcache").iterdir())
    manifest = json.loads(file.read_text())
    manifest["columns"][0]["statistics"] = {"count": 3, "classes": [[0, 1], [1, 2]]}
    file.write_text(json.dumps(manifest))
    loaded = dlcache.load(root)
    for shard in (root / "data").iterdir():
        shard.unlink()
    assert loaded.class_counts("label") == {0: 1, 1: 2}


def test_what_has_no_classes_says_how_to_cast(dataset: dlcache.Dataset) -> None:
    with pytest.raises(OptionError, match=r"scalar of float64.*F.col\(.x.\).cast\(.long.\)"):
        dataset.class_weights("x")


def indexed(path: Path, labels: Any, kind: str = "nominal") -> dlcache.Dataset:
    """What the connector writes of the output of a `StringIndexer`."""
    metadata = {"ml_attr": {"type": kind, "vals": labels, "name": "label"}, "dlcache.type": "double"}
    field = {"name": "label", "type": "long", "nullable": True, "metadata": metadata}
    schema = {"type": "struct", "fields": [field]}
    return dlcache.load(write(path, pa.table({"label": [0, 1, 1, 2]}), schema=schema))


def test_labels_of_spark_ml_are_the_vocabulary_of_class_numbers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    loaded = indexed(tmp_path, ["cat", "dog", "cow"])
    assert loaded.vocabulary("label") == ("cat", "dog", "cow")
    assert loaded.class_counts("label") == {0: 1, 1: 2, 2: 1}
    weights = torch.tensor(list(loaded.class_weights("label").values()), dtype=torch.float32)
    batch = next(iter(loaded.torch(4)))
    assert batch["label"].dtype == torch.int64
    assert torch.nn.functional.cross_entropy(torch.zeros(4, 3), batch["label"], weights).item() > 0


@pytest.mark.parametrize("labels", [None, [], ["a", 1], "ab", {"a": 0}])
def test_metadata_without_labels_says_nothing(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(OptionError, match="labels of Spark ML"):
        indexed(tmp_path, labels).vocabulary("label")


def test_class_numbers_of_other_labels_are_not_mixed(tmp_path: Path) -> None:
    one, same = (indexed(tmp_path / name, ["a", "b", "c"]) for name in ("one", "same"))
    other = indexed(tmp_path / "other", ["c", "b", "a"])
    assert dlcache.mix([one, same]).vocabulary("label") == ("a", "b", "c")
    with pytest.raises(
        ColumnError, match=r"'label' has class numbers of other labels \('a', 'b', 'c' and 'c', 'b', 'a'"
    ):
        dlcache.mix([one, other])


def test_weights_are_those_of_scikit_learn(dataset: dlcache.Dataset) -> None:
    weights = pytest.importorskip("sklearn.utils.class_weight")
    labels = dataset.filter(("label", ">=", 0)).gather(np.arange(108), ["label"], nulls={"label": 0})["label"]
    expected = weights.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert list(dataset.class_weights("label").values()) == pytest.approx(expected.tolist())


@pytest.mark.parametrize("shuffle", [False, True])
def test_codes_are_positions_in_the_vocabulary(dataset: dlcache.Dataset, shuffle: bool) -> None:
    words = dataset.vocabulary("city")
    assert words == tuple(sorted(CITIES))
    loader = dataset.numpy(16, shuffle=shuffle, columns=["id", "city", "raw"], strings="codes")
    assert loader.element_spec["city"].dtype == np.int64
    for batch in loader:
        assert batch["city"].dtype == np.int64
        assert [words[code] for code in batch["city"]] == [CITIES[row % 7 % 4] for row in batch["id"].tolist()]
        assert batch["raw"].dtype == object
    for batch in dataset.numpy(16, shuffle=shuffle, columns=["id", "raw"], strings={"raw": "codes"}):
        assert np.array_equal(batch["raw"], batch["id"] % 3)


def test_all_parts_have_the_codes_of_the_version(dataset: dlcache.Dataset) -> None:
    few = dataset.filter(("city", "==", "Zürich"))
    assert few.vocabulary("city") == dataset.vocabulary("city")
    codes = {code for batch in few.numpy(columns=["city"], strings="codes") for code in batch["city"].tolist()}
    assert codes == {dataset.vocabulary("city").index("Zürich")}


def test_codes_of_nulls_and_of_ones_own_vocabulary(dataset: dlcache.Dataset) -> None:
    options: dict[str, Any] = {"batch_size": ROWS, "columns": ["place"]}
    masked = dataset.numpy(**options, strings="codes", nulls="mask").batch_at(0)
    words = dataset.vocabulary("place")
    for row, code in enumerate(masked["place"].tolist()):
        assert (code == -1) == (row % 5 == 0)
        assert code == -1 or words[code] == CITIES[row % 4]
    own = dataset.numpy(**options, strings={"place": ["Ulm", "nowhere"]}, nulls={"place": "nowhere"}).batch_at(0)
    assert own["place"].tolist() == [1 if row % 5 == 0 else {"Ulm": 0}.get(CITIES[row % 4], -1) for row in range(ROWS)]


def test_a_transform_gets_the_codes(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(8, columns=["city"], strings="codes", transform=lambda batch: {"n": batch["city"] + 1})
    assert loader.element_spec["n"].dtype == np.int64


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"strings": "code"}, "'code'"),
        ({"strings": {"x": "codes"}}, "'x'"),
        ({"strings": {"town": "codes"}}, "'town'"),
        ({"strings": {"city": "code"}}, "'code'"),
        ({"strings": {"city": ["a", "a"]}}, "twice"),
        ({"strings": {"city": [b"a"]}}, "list of str"),
        ({"strings": {"city": "codes"}, "columns": ["id"]}, "'city'"),
    ],
)
def test_options_that_make_no_sense(dataset: dlcache.Dataset, options: dict[str, Any], names: str) -> None:
    with pytest.raises((OptionError, ColumnError), match=names):
        dataset.numpy(**{"columns": ["city", "x"], **options})


@pytest.mark.parametrize("call", ["class_counts", "class_weights", "vocabulary"])
def test_columns_without_classes(dataset: dlcache.Dataset, call: str) -> None:
    with pytest.raises(OptionError, match="'x'"):
        getattr(dataset, call)("x")
    with pytest.raises(ColumnError, match="'y'"):
        getattr(dataset, call)("y")
