# Everything a developer or a new user runs. Each target installs what it needs: a virtual environment in .venv
# (Python 3.10 or newer) and the connector's jar (Java 17; sbt is fetched by Maven if it is not installed).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VERSION := $(shell sed -n 's/^ThisBuild \/ version := "\(.*\)"$$/\1/p' version.sbt)
JAR := python/dlcache/jars/dlcache-spark_2.13-$(VERSION).jar
JVM_SOURCES := $(shell find jvm/src/main -type f) build.sbt version.sbt project/build.properties project/plugins.sbt
LOWEST_SPARK := 4.0
SPARKS := $(LOWEST_SPARK) 4.1
# What is run on a Spark that is not the main one: the same jar, from Python.
SPARK_SUITES := integration/test_one_jar.py integration/test_cache.py integration/test_plan_key.py \
  integration/test_connect.py
# PySpark 4.0 leaves sockets to the garbage collector.
OLDER_PYSPARK := -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning
SPARK_HOME_OF_VENV = $$($(BIN)/python -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')

.DEFAULT_GOAL := help
.PHONY: help demo test test-python test-jvm test-integration test-spark-lowest test-matrix test-lowest test-load \
  test-protocol test-kills test-loaders test-clouds fuzz fuzz-keys lint format benchmark golden clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(INSTALLED) $(JAR) ## train on real images through the cache (IMAGES=DIR: your own class folders)
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python examples/digits.py $(if $(IMAGES),--images "$(IMAGES)")

test: test-python test-jvm test-integration test-spark-lowest ## run all tests: unit tests first, then real Spark

test-python: $(INSTALLED) ## Python unit tests, no Spark
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest tests/frameworks

test-jvm: $(INSTALLED) ## the connector's own tests
	SPARK_HOME=$(SPARK_HOME_OF_VENV) scripts/sbt connector/test

test-integration: $(INSTALLED) $(JAR) ## both languages together on real Spark
	$(BIN)/python -m pytest integration

test-spark-lowest: $(INSTALLED) $(JAR) build/spark-$(LOWEST_SPARK)/.installed ## the same jar on the lowest Spark
	PYTHONPATH=build/spark-$(LOWEST_SPARK) $(BIN)/python -m pytest $(OLDER_PYSPARK) $(SPARK_SUITES)

test-matrix: $(INSTALLED) $(JAR) $(SPARKS:%=build/spark-%/.installed) ## the connector's tests and the jar on every Spark
	set -e; for spark in $(SPARKS); do \
	  home=$$PWD/build/spark-$$spark; \
	  SPARK_HOME=$$home/pyspark scripts/sbt connector/test; \
	  PYTHONPATH=$$home $(BIN)/python -m pytest $(OLDER_PYSPARK) integration; \
	done
	$(MAKE) test-jvm test-integration

# As far as one Python has them all: the tests of PyTorch and TensorFlow run on the current ones only.
test-lowest: ## Python unit tests on the lowest NumPy and PyArrow
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet 'numpy==1.26.0' 'pyarrow==15.0.0' 'typer==0.12.4' 'click<8.2' \
	  'rich==13.0.0' 'tqdm==4.60.0' 'platformdirs==3.0.0' 'pandas<3' 'pytest>=8.2' pytest-timeout hypothesis jsonschema
	build/lowest/bin/python -m pytest tests -p no:cacheprovider --ignore=tests/test_torch.py --ignore=tests/test_tf.py \
	  --ignore=tests/test_converter.py --ignore=tests/test_benchmarks.py

test-load: $(INSTALLED) ## the large and the many: minutes, and some GB of disk
	$(BIN)/python -m pytest tests/load_*.py -s

test-clouds: $(INSTALLED) $(JAR) ## emulators of Google Cloud Storage and Azure: needs Go, npm and openssl
	$(BIN)/python -m pytest integration/clouds.py

test-protocol: $(INSTALLED) ## writers, readers, deletion and gc in far more orders of their operations
	DLCACHE_SWITCHES=2 $(BIN)/python -m pytest tests/test_protocol.py

KILLS := 200
test-kills: $(INSTALLED) $(JAR) ## drivers, readers and collectors killed at random, KILLS times
	PYTHONPATH=python KILLS=$(KILLS) $(BIN)/python integration/kills.py

LOADERS_SECONDS := 300
LOADERS_SEED := $(shell date +%s)
test-loaders: $(INSTALLED) ## random datasets, options, ranks and resume points for LOADERS_SECONDS, from LOADERS_SEED on
	PYTHONPATH=tests:python $(BIN)/python -W error tests/random_loaders.py $(LOADERS_SECONDS) $(LOADERS_SEED)

FUZZ_SECONDS := 300
fuzz: $(INSTALLED) ## damaged manifests and shards, with Atheris, for FUZZ_SECONDS each
	$(BIN)/python -m pip install --quiet atheris
	for target in manifest shard; do \
	  PYTHONPATH=tests:python $(BIN)/python tests/fuzz_readers.py $$target -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=400 || exit 1; \
	done

FUZZ_SEED := $(shell date +%s)
fuzz-keys: $(INSTALLED) ## plan keys: change one thing of a query for FUZZ_SECONDS, with FUZZ_SEED
	SPARK_HOME=$(SPARK_HOME_OF_VENV) scripts/sbt \
	  'connector/Test/runMain io.dlcache.key.fuzz.FuzzKeys $(FUZZ_SECONDS) $(FUZZ_SEED)'

lint: $(INSTALLED) ## check style, types and the rules of the tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	scripts/check-tree
	SPARK_HOME=$(SPARK_HOME_OF_VENV) scripts/sbt scalafmtCheckAll scalafmtSbtCheck connector/Test/compile

format: $(INSTALLED) ## format both languages
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	scripts/sbt scalafmtAll scalafmtSbt

benchmark: $(INSTALLED) $(JAR) ## measure against the limits and the peers that are installed
	$(BIN)/python -m benchmarks

golden: $(INSTALLED) ## write tests/golden anew, after a deliberate change of what is written
	SPARK_HOME=$(SPARK_HOME_OF_VENV) scripts/sbt 'connector/Test/runMain io.dlcache.golden.WriteGoldenDatasets tests/golden'

clean: ## remove what was built
	rm -rf $(VENV) target project/target project/project jvm/target python/dlcache/jars dist build

$(INSTALLED): pyproject.toml hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[spark,torch,tensorflow,cli]' --group dev
	touch $@

# Another Spark beside the one of the virtual environment: what is on PYTHONPATH is found first.
build/spark-%/.installed:
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --target $(@D) 'pyspark==$*.*'
	touch $@

$(JAR): $(JVM_SOURCES)
	scripts/build-jar
