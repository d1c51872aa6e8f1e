package io.dlcache.shard.file

private[shard] object Crc32 {
  private val Polynomial = 0xedb88320L

  /** The CRC-32 of a text of which `first` is the CRC of the head and `second` of the last `secondBytes` bytes: appending
    * zeros is a linear map over GF(2), applied here by squaring the one for a single zero bit.
    */
  def combine(first: Long, second: Long, secondBytes: Long): Long =
    if (secondBytes == 0) first
    else {
      val oneBit = Array.tabulate(32)(bit => if (bit == 0) Polynomial else 1L << (bit - 1))
      var power = square(square(square(oneBit)))
      var rest = secondBytes
      var result = first
      while (rest != 0) {
        if ((rest & 1) != 0) result = times(power, result)
        rest >>= 1
        if (rest != 0) power = square(power)
      }
      result ^ second
    }

  private def times(matrix: Array[Long], vector: Long): Long = {
    var sum = 0L
    var bit = 0
    while (bit < 32) {
      if ((vector >>> bit & 1) != 0) sum ^= matrix(bit)
      bit += 1
    }
    sum
  }

  private def square(matrix: Array[Long]): Array[Long] = matrix.map(times(matrix, _))
}
