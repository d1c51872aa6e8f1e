package io.dlcache.key

import com.fasterxml.jackson.databind.{ObjectMapper, SerializationFeature}

/** JSON with the keys of every object sorted. The metadata of a Spark column is a map, whose order is an accident. */
private[key] object CanonicalJson {
  val mapper: ObjectMapper = new ObjectMapper().configure(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS, true)

  def apply(json: String): String = mapper.writeValueAsString(mapper.readValue(json, classOf[Object]))
}
