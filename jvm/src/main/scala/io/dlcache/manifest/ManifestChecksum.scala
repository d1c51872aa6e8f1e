package io.dlcache.manifest

import java.nio.charset.StandardCharsets.UTF_8
import java.security.MessageDigest
import java.util.HexFormat

/** The SHA-256 of a manifest's bytes, which is its last member and its last line: docs/format.md §2.4. */
private[manifest] object ManifestChecksum {
  val Key = "sha256"

  /** @param text up to, and with, the comma before the checksum */
  def append(text: String): String = {
    val bytes = text.getBytes(UTF_8)
    text + lastLine(sha256(bytes, bytes.length))
  }

  /** What is wrong with a manifest that has the checksum `found`. */
  def problem(text: String, found: String): Option[String] = {
    val bytes = text.getBytes(UTF_8)
    val last = lastLine(found).getBytes(UTF_8)
    val length = bytes.length - last.length
    if (length < 0 || !java.util.Arrays.equals(bytes, length, bytes.length, last, 0, last.length))
      Some(s"its last line is not its checksum $Key")
    else {
      val actual = sha256(bytes, length)
      Option.when(actual != found)(s"its bytes have the SHA-256 $actual, and it says $found")
    }
  }

  private def lastLine(hex: String): String = s""""$Key":"$hex"\n}\n"""

  private def sha256(bytes: Array[Byte], length: Int): String = {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(bytes, 0, length)
    HexFormat.of().formatHex(digest.digest())
  }
}
