package io.dlcache.spark

import java.io.ByteArrayOutputStream
import java.nio.charset.StandardCharsets.UTF_8

import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class PythonRowsSuite extends AnyFunSuite with ScalaCheckPropertyChecks {

  /** A pickle of protocol 4 that holds these strings, among other things. */
  private def pickle(strings: Seq[String]): Array[Byte] = {
    val out = new ByteArrayOutputStream
    out.write(Array[Byte](0x80.toByte, 4, '('))
    strings.foreach { text =>
      val bytes = text.getBytes(UTF_8)
      out.write(0x8c)
      out.write(bytes.length)
      out.write(bytes)
      out.write(0x94)
      // Bytes, whose content is no string of the pickle.
      out.write(Array[Byte]('C', 2, 0x8c.toByte, 1))
      out.write(Array[Byte]('J', 1, 2, 3, 4))
    }
    out.write(Array[Byte]('t', '.'))
    out.toByteArray
  }

  private val identity =
    Seq("/x/pyspark/core/rdd.py", "RDD._reserialize.<locals>.<lambda>", "__name__", "pyspark.core.rdd")

  test("all strings of a pickle are found") {
    forAll(Gen.listOf(Gen.alphaStr.map(_.take(200)))) { strings =>
      assert(Pickle.strings(pickle(strings)).contains(strings))
    }
  }

  test("a pickle that is cut short, goes on, or holds something unknown is not understood") {
    val whole = pickle(identity)
    (0 until whole.length).foreach(length => assert(Pickle.strings(whole.take(length)).isEmpty, s"$length bytes"))
    assert(Pickle.strings(whole :+ 'N'.toByte).isEmpty)
    assert(Pickle.strings(Array[Byte]('c', 'o', 's', '\n', 'x', '\n', '.')).isEmpty)
  }

  test("elements of another kind are never left out") {
    assert(PythonRows.allOf[Byte](Seq[Byte](1, 2)).contains(Seq[Byte](1, 2)))
    assert(PythonRows.allOf[Array[Byte]](Seq(Array[Byte](1), "batch")).isEmpty)
    assert(PythonRows.allOf[Array[Byte]](Seq(Array[Byte](1), null)).isEmpty)
    assert(PythonRows.allOf[Byte](Array[Byte](1)).isEmpty)
  }

  test("only PySpark's own identity function is one") {
    assert(PythonRows.isIdentity(pickle(identity)))
    Seq("/home/user/job.py", "numpy", "my_function", "pyspark.sql.session").foreach { foreign =>
      assert(!PythonRows.isIdentity(pickle(identity :+ foreign)), foreign)
    }
    assert(!PythonRows.isIdentity(pickle(Seq("/x/pyspark/core/rdd.py"))))
    assert(!PythonRows.isIdentity(Array.empty))
  }
}
