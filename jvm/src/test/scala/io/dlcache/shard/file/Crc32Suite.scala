package io.dlcache.shard.file

import java.io.ByteArrayOutputStream
import java.util.zip.CRC32

import org.apache.hadoop.fs.FSDataOutputStream
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class Crc32Suite extends AnyFunSuite with ScalaCheckPropertyChecks {
  private val pieces =
    Gen.listOf(Gen.zip(Gen.listOf(Gen.choose(-128, 127)).map(_.map(_.toByte).toArray), Gen.oneOf(true, false)))

  private def crc(bytes: Array[Byte]): Long = {
    val crc = new CRC32
    crc.update(bytes)
    crc.getValue
  }

  test("the CRC of a file is the same whether the CRCs of its pieces are announced or not") {
    forAll(pieces, Gen.choose(1, 5)) { (pieces, step) =>
      val bytes = new ByteArrayOutputStream
      val expected = new ByteArrayOutputStream
      val out = new Crc32Output(new FSDataOutputStream(bytes, null))
      pieces.foreach { case (piece, announced) =>
        if (announced) out.announce(out.getPos, piece, 0, piece.length, crc(piece))
        piece.grouped(step).foreach(part => out.write(part, 0, part.length))
        out.write(7)
        expected.write(piece :+ 7.toByte)
        assert(out.getPos == expected.size)
      }
      assert(bytes.toByteArray.toSeq == expected.toByteArray.toSeq)
      assert(out.value == crc(bytes.toByteArray))
    }
  }

  test("what is announced goes out as a whole, once the file has come to its place") {
    val bytes = new ByteArrayOutputStream
    val out = new Crc32Output(new FSDataOutputStream(bytes, null))
    out.announce(2, Array[Byte](0, 1, 2, 3), 1, 3, crc(Array[Byte](1, 2, 3)))
    out.write(9)
    out.write(9)
    assert(bytes.size == 2)
    out.write(1)
    assert(bytes.size == 5 && out.getPos == 3)
    out.write(Array[Byte](2, 3, 4), 0, 3)
    assert(bytes.toByteArray.toSeq == Seq[Byte](9, 9, 1, 2, 3, 4))
    assert(out.getPos == 6 && out.value == crc(bytes.toByteArray))
  }

  test("where the file never comes to the place that was announced, it has what it was handed") {
    val bytes = new ByteArrayOutputStream
    val out = new Crc32Output(new FSDataOutputStream(bytes, null))
    out.announce(1, Array[Byte](5, 5), 0, 2, crc(Array[Byte](5, 5)))
    out.write(Array[Byte](1, 2), 0, 2)
    out.write(3)
    assert(bytes.toByteArray.toSeq == Seq[Byte](1, 2, 3) && out.value == crc(Array[Byte](1, 2, 3)))
  }

  test("CRCs combine") {
    forAll { (first: Array[Byte], second: Array[Byte]) =>
      assert(Crc32.combine(crc(first), crc(second), second.length.toLong) == crc(first ++ second))
    }
  }
}
