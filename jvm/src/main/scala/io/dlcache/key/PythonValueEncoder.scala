package io.dlcache.key

import java.math.{BigDecimal, BigInteger}

import scala.jdk.CollectionConverters._

/** Writes values as the unpickler gives them. Integers are written by value, since their width in Java is an accident of
  * their size.
  */
private[key] object PythonValueEncoder {

  /** @return the class of the value that cannot be encoded, if there is one */
  def write(sink: DigestSink, value: Any): Option[String] = {
    def known(written: DigestSink): Option[String] = { val _ = written; None }
    value match {
      case null => known(sink.tag('0'))
      case value: Boolean => known(sink.long('z', if (value) 1 else 0))
      case value @ (_: Byte | _: Short | _: Int | _: Long) =>
        known(sink.bytes('B', BigInteger.valueOf(value.asInstanceOf[Number].longValue).toByteArray))
      case value: BigInteger => known(sink.bytes('B', value.toByteArray))
      case value: Double => known(sink.long('d', java.lang.Double.doubleToRawLongBits(value)))
      case value: BigDecimal => known(sink.bytes('D', value.unscaledValue.toByteArray).long('i', value.scale.toLong))
      case value: String => known(sink.string(value))
      case value: Array[Byte] => known(sink.bytes('y', value))
      case values: Array[_] => writeAll(sink.long('q', values.length.toLong), values.iterator)
      case values: java.util.List[_] => writeAll(sink.long('q', values.size.toLong), values.asScala.iterator)
      case entries: java.util.Map[_, _] =>
        var unknown: Option[String] = None
        val digests = entries.asScala.toSeq.map { case (key, entry) =>
          Digest(part => unknown = unknown.orElse(write(part, key)).orElse(write(part, entry)))
        }
        sink.long('m', digests.length.toLong)
        digests.sorted.foreach(sink.part)
        unknown
      case other => Some(other.getClass.getName)
    }
  }

  private def writeAll(sink: DigestSink, values: Iterator[Any]): Option[String] =
    values.map(write(sink, _)).collectFirst { case Some(unknown) => unknown }
}
