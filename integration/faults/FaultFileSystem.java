import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FileNotFoundException;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * A store in a local directory, published to with a conditional put as an object store is, that fails when a test says
 * so. `fault:/x` is the local file `/x`.
 *
 * <p>The test puts small files into the directory that the conf `fs.fault.control` names. One whose name is the name of
 * a place is a fault there; which process meets it first takes it, so it happens once. Places: `shard` (the first bytes
 * of a shard are written), `before-publish`, `after-publish` (of a manifest). What the file says:
 *
 * <ul>
 *   <li>`fail`: an IOException.
 *   <li>`full`: all that is written from here on goes to /dev/full, so the kernel says that the disk is full.
 *   <li>`hang`: writes its process id to the named pipe `hung`, and waits to be killed or interrupted.
 * </ul>
 *
 * The file `every` holds N and `fail` or `stall`: each N-th request of a process fails, or takes its time.
 */
public class FaultFileSystem extends RawLocalFileSystem {
  private static final AtomicLong REQUESTS = new AtomicLong();
  private static final String CONDITIONAL = "fs.option.create.conditional.overwrite";

  private Path control;

  @Override
  public void initialize(URI uri, Configuration conf) throws IOException {
    super.initialize(uri, conf);
    control = Paths.get(conf.get("fs.fault.control"));
  }

  @Override
  public String getScheme() {
    return "fault";
  }

  @Override
  public URI getUri() {
    return URI.create("fault:///");
  }

  @Override
  public boolean hasPathCapability(org.apache.hadoop.fs.Path path, String capability) throws IOException {
    return capability.equals(CONDITIONAL) || super.hasPathCapability(path, capability);
  }

  @Override
  public FSDataInputStream open(org.apache.hadoop.fs.Path path, int bufferSize) throws IOException {
    request("read " + path);
    return super.open(path, bufferSize);
  }

  @Override
  public FileStatus[] listStatus(org.apache.hadoop.fs.Path path) throws IOException {
    request("list " + path);
    return super.listStatus(path);
  }

  @Override
  public FSDataOutputStream create(
      org.apache.hadoop.fs.Path path, boolean overwrite, int bufferSize, short replication, long blockSize,
      Progressable progress) throws IOException {
    request("create " + path);
    FSDataOutputStream out = super.create(path, overwrite, bufferSize, replication, blockSize, progress);
    return path.getName().endsWith(".parquet") ? new FSDataOutputStream(new ShardStream(out), null) : out;
  }

  @Override
  public FSDataOutputStream create(
      org.apache.hadoop.fs.Path path, FsPermission permission, boolean overwrite, int bufferSize, short replication,
      long blockSize, Progressable progress) throws IOException {
    return create(path, overwrite, bufferSize, replication, blockSize, progress);
  }

  @Override
  public FSDataOutputStreamBuilder createFile(org.apache.hadoop.fs.Path path) {
    return new ConditionalPut(this, path);
  }

  /** The text of the fault at a place, which is taken with it; null if there is none. */
  private String take(String place) throws IOException {
    Path taken = control.resolve("taken-" + UUID.randomUUID());
    try {
      Files.move(control.resolve(place), taken);
    } catch (NoSuchFileException none) {
      return null;
    }
    return Files.readString(taken).trim();
  }

  private void meet(String place) throws IOException {
    String fault = take(place);
    if (fault == null) {
      return;
    } else if (fault.equals("fail")) {
      throw new IOException("a fault was asked for at " + place);
    } else if (fault.equals("hang")) {
      hang();
    } else {
      throw new IOException("no such fault: " + fault);
    }
  }

  private void hang() throws IOException {
    try (OutputStream hung = new FileOutputStream(control.resolve("hung").toFile())) {
      hung.write((ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.UTF_8));
    }
    try {
      new java.util.concurrent.CountDownLatch(1).await();
    } catch (InterruptedException killed) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while it hung");
    }
  }

  private void request(String what) throws IOException {
    String[] every;
    try {
      every = Files.readString(control.resolve("every")).trim().split(" ");
    } catch (NoSuchFileException none) {
      return;
    }
    if (REQUESTS.incrementAndGet() % Long.parseLong(every[0]) != 0) {
      return;
    } else if (every[1].equals("fail")) {
      throw new IOException("503 Slow Down: " + what);
    }
    try {
      Thread.sleep(300);
    } catch (InterruptedException killed) {
      throw new InterruptedIOException("interrupted while it stalled");
    }
  }

  private final class ShardStream extends FilterOutputStream {
    private OutputStream full;
    private boolean begun;

    ShardStream(OutputStream out) {
      super(out);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      if (!begun) {
        begun = true;
        Path shard = control.resolve("shard");
        if (Files.exists(shard) && Files.readString(shard).trim().equals("full")) {
          full = new FileOutputStream("/dev/full");
        } else {
          meet("shard");
        }
      }
      (full == null ? out : full).write(bytes, offset, length);
    }

    @Override
    public void write(int value) throws IOException {
      write(new byte[] {(byte) value}, 0, 1);
    }
  }

  /** Bytes that become a file when they are closed, unless there is one. */
  private static final class ConditionalPut extends FSDataOutputStreamBuilder<FSDataOutputStream, ConditionalPut> {
    private final FaultFileSystem store;

    ConditionalPut(FaultFileSystem store, org.apache.hadoop.fs.Path path) {
      super(store, path);
      this.store = store;
    }

    @Override
    public ConditionalPut getThisBuilder() {
      return this;
    }

    @Override
    public FSDataOutputStream build() throws IOException {
      if (!getMandatoryKeys().contains(CONDITIONAL)) {
        throw new IOException("a put that is not conditional");
      }
      java.io.File target = store.pathToFile(getPath());
      return new FSDataOutputStream(new java.io.ByteArrayOutputStream() {
        @Override
        public void close() throws IOException {
          store.meet("before-publish");
          store.request("put " + target);
          Files.createDirectories(target.getParentFile().toPath());
          Path upload = store.control.resolve("upload-" + UUID.randomUUID());
          Files.write(upload, toByteArray());
          try {
            Files.createLink(target.toPath(), upload);
          } catch (FileAlreadyExistsException taken) {
            throw new IOException("412 Precondition Failed: " + target, taken);
          }
          store.meet("after-publish");
        }
      }, null);
    }
  }
}
