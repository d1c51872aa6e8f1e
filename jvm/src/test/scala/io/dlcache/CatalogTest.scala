package io.dlcache

import io.dlcache.catalog.DlcacheCatalog
import org.scalatest.Suite

/** A session with dlcache's catalog. */
private[dlcache] trait CatalogTest extends WriteTest { this: Suite =>
  private val setting = "spark.sql.catalog.spark_catalog"

  override protected def beforeAll(): Unit = {
    super.beforeAll()
    spark.conf.set(setting, classOf[DlcacheCatalog].getName)
  }

  override protected def afterAll(): Unit =
    try spark.conf.unset(setting)
    finally super.afterAll()

  protected def withoutCatalog[T](body: => T): T = {
    spark.conf.unset(setting)
    try body
    finally spark.conf.set(setting, classOf[DlcacheCatalog].getName)
  }
}
