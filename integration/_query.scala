// Typed into spark-shell: the query of test_connect.py in Scala, below the directory that DLCACHE_TEST names.
import org.apache.spark.sql.functions._

val base = sys.env("DLCACHE_TEST")
val rows = spark.read.parquet(s"$base/source").filter(col("k") === 1 && col("id") > 2)
val query = rows.select((col("id") + 1).as("a"), upper(col("s")).as("b"), col("v"))
query.write.format("dlcache").option("root", s"$base/root").option("dtype", "float32").save()
sys.exit(0)
