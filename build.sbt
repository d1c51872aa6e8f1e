// The connector is one plain jar: everything that it needs at run time (Spark, Hadoop, Parquet, Jackson, Scala) is on
// Spark's class path. It compiles against Spark 4.2 and runs on 4.0, 4.1 and 4.2; SPARK_HOME says which one the tests use
// (`make test` sets it to the pyspark of the virtual environment).

ThisBuild / scalaVersion := "2.13.18"
ThisBuild / organization := "io.dlcache"

val sparkVersion = "4.2.0"

lazy val sparkHome: Option[File] = sys.env.get("SPARK_HOME").map(file)

lazy val connector = (project in file("jvm"))
  .settings(
    name := "dlcache-spark",
    target := baseDirectory.value / "target",
    libraryDependencies ++= Seq(
      "org.apache.spark" %% "spark-sql" % sparkVersion % Provided,
      "org.scalatest" %% "scalatest" % "3.2.19" % Test,
      "org.scalatestplus" %% "scalacheck-1-18" % "3.2.19.0" % Test
    ),
    scalacOptions ++= Seq("-deprecation", "-feature", "-unchecked", "-Xlint", "-Wunused", "-Werror", "-release:17"),
    // The generated API pages are not published; `packageDoc` would only slow `package` down.
    Compile / packageDoc / publishArtifact := false,
    // Which version the jar is, for the manifest's `created-by`.
    Compile / packageBin / packageOptions += Package.ManifestAttributes("Implementation-Version" -> version.value),
    Compile / resourceGenerators += Def.task {
      val out = (Compile / resourceManaged).value / "io" / "dlcache" / "version"
      IO.write(out, version.value)
      Seq(out)
    }.taskValue,
    // Tests run on the Spark that SPARK_HOME holds, whole: its jars include MLlib and Spark Connect, and another
    // Spark is another SPARK_HOME. Only the test libraries come from Maven.
    Test / managedClasspath := (Test / managedClasspath).value.filter { entry =>
      val name = entry.data.getName
      name.startsWith("scalatest") || name.startsWith("scalactic") || name.startsWith("scalacheck") ||
      name.startsWith("test-interface")
    },
    Test / unmanagedJars ++= sparkHome.toSeq.flatMap(home => ((home / "jars") * "*.jar").classpath),
    Test / fork := true,
    Test / parallelExecution := false,
    Test / testOptions += Tests.Argument(TestFrameworks.ScalaTest, "-oDF"),
    Test / baseDirectory := (ThisBuild / baseDirectory).value,
    Test / javaOptions ++= Seq(
      "-Xmx2g",
      "-XX:+IgnoreUnrecognizedVMOptions",
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Djdk.reflect.useDirectMethodHandle=false",
      "-Dio.netty.tryReflectionSetAccessible=true",
      "-Dspark.ui.enabled=false",
      "-Dspark.master=local[2]",
      "-Dspark.driver.host=127.0.0.1",
      "-Dspark.driver.bindAddress=127.0.0.1",
      "-Dspark.sql.shuffle.partitions=3",
      "-Duser.timezone=UTC"
    ) ++ Seq(
      "java.lang",
      "java.lang.invoke",
      "java.lang.reflect",
      "java.io",
      "java.net",
      "java.nio",
      "java.util",
      "java.util.concurrent",
      "java.util.concurrent.atomic",
      "jdk.internal.ref",
      "sun.nio.ch",
      "sun.nio.cs",
      "sun.security.action",
      "sun.util.calendar"
    ).map(p => s"--add-opens=java.base/$p=ALL-UNNAMED")
  )

lazy val root = (project in file(".")).aggregate(connector).settings(publish / skip := true)
