package io.dlcache.spark

import org.scalatest.funsuite.AnyFunSuite

class PythonRowsSuite extends AnyFunSuite {

  test("elements of another kind are never left out") {
    assert(PythonRows.allOf[Byte](Seq[Byte](1, 2)).contains(Seq[Byte](1, 2)))
    assert(PythonRows.allOf[Array[Byte]](Seq(Array[Byte](1), "batch")).isEmpty)
    assert(PythonRows.allOf[Array[Byte]](Seq(Array[Byte](1), null)).isEmpty)
    assert(PythonRows.allOf[Byte](Array[Byte](1)).isEmpty)
  }
}
