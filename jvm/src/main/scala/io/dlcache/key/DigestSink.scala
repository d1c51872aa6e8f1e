package io.dlcache.key

import java.nio.ByteBuffer
import java.nio.charset.StandardCharsets.UTF_8
import java.security.MessageDigest

/** A SHA-256 over a sequence of typed, length-prefixed fields, so that no two sequences of fields give one pre-image.
  * Everything variable is preceded by its length, everything by a tag of one byte.
  */
final private[key] class DigestSink {
  private val sha = MessageDigest.getInstance("SHA-256")
  private val scratch = ByteBuffer.allocate(9)
  private var count = 0L

  /** Bytes taken so far. */
  def size: Long = count

  def tag(kind: Char): this.type = {
    sha.update(kind.toByte)
    count += 1
    this
  }

  def long(kind: Char, value: Long): this.type = {
    scratch.clear()
    scratch.put(kind.toByte).putLong(value)
    sha.update(scratch.array, 0, 9)
    count += 9
    this
  }

  def bytes(kind: Char, value: Array[Byte]): this.type = {
    long(kind, value.length.toLong)
    sha.update(value)
    count += value.length
    this
  }

  def string(value: String): this.type = bytes('s', value.getBytes(UTF_8))

  /** The digest of a part that was encoded on its own. */
  def part(value: Digest): this.type = bytes('#', value.bytes)

  def digest(): Digest = new Digest(sha.digest())
}

/** 32 bytes. Ordered as unsigned bytes, which is how operands whose order does not matter are sorted. */
final private[key] class Digest(val bytes: Array[Byte]) extends Comparable[Digest] {
  override def compareTo(other: Digest): Int = java.util.Arrays.compareUnsigned(bytes, other.bytes)
  override def equals(other: Any): Boolean = other match {
    case that: Digest => java.util.Arrays.equals(bytes, that.bytes)
    case _ => false
  }
  override def hashCode: Int = java.util.Arrays.hashCode(bytes)
  def hex: String = bytes.map(byte => f"$byte%02x").mkString
  override def toString: String = hex
}

private[key] object Digest {
  def apply(write: DigestSink => Unit): Digest = {
    val sink = new DigestSink
    write(sink)
    sink.digest()
  }
}
