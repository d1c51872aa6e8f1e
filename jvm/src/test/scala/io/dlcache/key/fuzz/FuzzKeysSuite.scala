package io.dlcache.key.fuzz

import io.dlcache.key.KeySuite

/** A bounded run of the fuzzer. `-Dfuzz.seed=N` in `Test / javaOptions`, or `make fuzz-keys`, repeats a run. */
class FuzzKeysSuite extends KeySuite {
  private val seed = sys.props.get("fuzz.seed").fold(1L)(_.toLong)

  test("equal keys mean equal schemas and equal rows, and what keeps the meaning keeps the key") {
    val report = FuzzKeys.run(spark, seed, examples = 100)(report => report.pairs >= 400 || report.seconds > 120)
    info(report.summary)
    assert(report.falseHits.isEmpty && report.lost.isEmpty, report.details)
    assert(report.comparisons > 20)
  }
}
