import com.sun.jdi.Bootstrap;
import com.sun.jdi.ClassType;
import com.sun.jdi.ObjectReference;
import com.sun.jdi.ReferenceType;
import com.sun.jdi.StringReference;
import com.sun.jdi.ThreadReference;
import com.sun.jdi.Value;
import com.sun.jdi.VMDisconnectedException;
import com.sun.jdi.VirtualMachine;
import com.sun.jdi.connect.Connector;
import com.sun.jdi.connect.ListeningConnector;
import com.sun.jdi.event.BreakpointEvent;
import com.sun.jdi.event.ClassPrepareEvent;
import com.sun.jdi.event.Event;
import com.sun.jdi.event.EventSet;
import com.sun.jdi.request.BreakpointRequest;
import com.sun.jdi.request.ClassPrepareRequest;
import com.sun.jdi.request.EventRequest;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A debugger that stops a JVM in one very call: `java Stopper.java PLACE...`, where a PLACE is `CLASS METHOD TEXT WHAT`.
 *
 * <p>It says `listening HOST:PORT`; the JVM is started with `-agentlib:jdwp=transport=dt_socket,server=n,address=` and
 * that address. The places are passed one after another: a thread is at one when it begins the method, with TEXT in one
 * of its arguments as they print themselves. WHAT is done then: `pass` lets it go on; `stop` holds the thread there,
 * and Stopper says `stopped`; else it is the name of an exception that the call throws. Stopper ends with the JVM, or
 * with its own input: the JVM goes on then.
 */
public final class Stopper {
  private record Place(String type, String method, String text, String what) {}

  private final VirtualMachine vm;
  private final List<Place> places;
  private int passed = 0;

  private Stopper(VirtualMachine vm, List<Place> places) {
    this.vm = vm;
    this.places = places;
  }

  public static void main(String[] arguments) throws Exception {
    List<Place> places = new ArrayList<>();
    for (int at = 0; at < arguments.length; at += 4) {
      places.add(new Place(arguments[at], arguments[at + 1], arguments[at + 2], arguments[at + 3]));
    }
    Thread input = new Thread(Stopper::endWithInput);
    input.setDaemon(true);
    input.start();
    ListeningConnector connector = Bootstrap.virtualMachineManager().listeningConnectors().stream()
        .filter(each -> each.name().equals("com.sun.jdi.SocketListen")).findFirst().orElseThrow();
    Map<String, Connector.Argument> settings = connector.defaultArguments();
    settings.get("port").setValue("0");
    settings.get("localAddress").setValue("127.0.0.1");
    System.out.println("listening " + connector.startListening(settings));
    VirtualMachine vm = connector.accept(settings);
    connector.stopListening(settings);
    try {
      new Stopper(vm, places).run();
    } catch (VMDisconnectedException ended) {
      System.out.println("ended");
    }
  }

  private static void endWithInput() {
    try {
      System.in.transferTo(OutputStream.nullOutputStream());
    } catch (IOException broken) {
      // The test is gone: that is an end too.
    }
    System.exit(0);
  }

  private void run() throws Exception {
    for (String name : places.stream().map(Place::type).distinct().toList()) {
      ClassPrepareRequest prepared = vm.eventRequestManager().createClassPrepareRequest();
      prepared.addClassFilter(name);
      prepared.setSuspendPolicy(EventRequest.SUSPEND_EVENT_THREAD);
      prepared.enable();
      for (ReferenceType loaded : vm.classesByName(name)) {
        watch(loaded);
      }
    }
    while (true) {
      EventSet events = vm.eventQueue().remove();
      boolean stop = false;
      for (Event event : events) {
        if (event instanceof ClassPrepareEvent prepared) {
          watch(prepared.referenceType());
        } else if (event instanceof BreakpointEvent hit) {
          stop |= meet(hit);
        }
      }
      if (stop) {
        System.out.println("stopped");
      } else {
        events.resume();
      }
    }
  }

  private void watch(ReferenceType type) {
    places.stream().filter(place -> place.type().equals(type.name())).map(Place::method).distinct()
        .flatMap(method -> type.methodsByName(method).stream())
        .filter(method -> method.location() != null)
        .forEach(method -> {
          BreakpointRequest begun = vm.eventRequestManager().createBreakpointRequest(method.location());
          begun.setSuspendPolicy(EventRequest.SUSPEND_EVENT_THREAD);
          begun.enable();
        });
  }

  /** True if the thread is to stay where it is. */
  private boolean meet(BreakpointEvent hit) throws Exception {
    if (passed == places.size()) {
      return false;
    }
    Place place = places.get(passed);
    boolean isThere = hit.location().declaringType().name().equals(place.type())
        && hit.location().method().name().equals(place.method())
        && isArgument(hit.thread(), place.text());
    if (!isThere) {
      return false;
    }
    passed++;
    if (!place.what().equals("stop") && !place.what().equals("pass")) {
      hit.thread().stop(exception(hit.thread(), place.what()));
    }
    return place.what().equals("stop");
  }

  private boolean isArgument(ThreadReference thread, String text) throws Exception {
    for (Value argument : thread.frame(0).getArgumentValues()) {
      if (argument instanceof ObjectReference object && object.referenceType() instanceof ClassType type) {
        var print = type.methodsByName("toString", "()Ljava/lang/String;").get(0);
        Value printed = object.invokeMethod(thread, print, List.of(), ObjectReference.INVOKE_SINGLE_THREADED);
        if (printed instanceof StringReference string && string.value().contains(text)) {
          return true;
        }
      }
    }
    return false;
  }

  private ObjectReference exception(ThreadReference thread, String name) throws Exception {
    ClassType type = (ClassType) vm.classesByName(name).get(0);
    var create = type.concreteMethodByName("<init>", "()V");
    return type.newInstance(thread, create, List.of(), ObjectReference.INVOKE_SINGLE_THREADED);
  }
}
