package io.dlcache.shard

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
    forAll(pieces) { pieces =>
      val bytes = new ByteArrayOutputStream
      val out = new Crc32Output(new FSDataOutputStream(bytes, null), identity)
      pieces.foreach { case (piece, announced) =>
        if (announced) out.announce(piece, 0, piece.length, crc(piece))
        out.write(piece, 0, piece.length)
        out.write(7)
      }
      assert(out.value == crc(bytes.toByteArray))
      assert(out.getPos == bytes.size)
    }
  }

  test("CRCs combine") {
    forAll { (first: Array[Byte], second: Array[Byte]) =>
      assert(Crc32.combine(crc(first), crc(second), second.length.toLong) == crc(first ++ second))
    }
  }
}
