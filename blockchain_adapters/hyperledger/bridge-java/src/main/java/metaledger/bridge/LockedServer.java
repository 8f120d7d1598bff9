package metaledger.bridge;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import javax.net.ServerSocketFactory;
import py4j.CallbackClient;
import py4j.Gateway;
import py4j.GatewayConnection;
import py4j.GatewayServer;
import py4j.Protocol;
import py4j.Py4JException;
import py4j.Py4JServerConnection;
import py4j.ReturnObject;
import py4j.StringUtil;
import py4j.commands.AbstractCommand;
import py4j.commands.CallCommand;

/**
 * A py4j server on loopback that knows one command: call one of a fixed list of methods, a string in and a string out.
 *
 * <p>The stock server gives whoever holds the token the whole JVM. Here every command that py4j has, now or in a later release, is
 * replaced by a refusal, and the call command by one that looks its method up in a map: no reflection, no objects kept for the
 * other side. A refused command ends its connection.
 */
final class LockedServer extends GatewayServer {
    private final Map<String, UnaryOperator<String>> methods;

    /** Listens on a free port of the loopback interface once it is started. */
    LockedServer(Map<String, UnaryOperator<String>> methods, String token) {
        super(new Gateway(new Object(), new CallbackClient(0)), 0, InetAddress.getLoopbackAddress(), 0, 0, List.of(),
                ServerSocketFactory.getDefault());
        this.methods = methods;
        this.token = token;
    }

    private final String token;

    @Override
    protected Py4JServerConnection createConnection(Gateway gateway, Socket socket) throws IOException {
        socket.setTcpNoDelay(true); // else an answer above 16 KB waits 40 ms for a delayed acknowledgement
        LockedConnection connection = new LockedConnection(gateway, socket);
        connection.startConnection();
        return connection;
    }

    private final class LockedConnection extends GatewayConnection {
        LockedConnection(Gateway gateway, Socket socket) throws IOException {
            super(gateway, socket, token, List.of(), getListeners());
            commands.replaceAll((name, command) -> CallCommand.CALL_COMMAND_NAME.equals(name) ? new Call() : new Refusal());
        }
    }

    /** Answers a call of a listed method of the entry point with one string; anything else is refused. */
    private final class Call extends AbstractCommand {
        @Override
        public void execute(String name, BufferedReader reader, BufferedWriter writer) throws IOException {
            String target = reader.readLine();
            String method = reader.readLine();
            String argument = reader.readLine();
            boolean whole = argument != null && argument.indexOf(Protocol.STRING_TYPE) == 0 && "e".equals(reader.readLine());
            UnaryOperator<String> called = methods.get(method);
            if (!whole || called == null || !Protocol.ENTRY_POINT_OBJECT_ID.equals(target)) {
                refuse(writer);
            }
            String answer = called.apply(StringUtil.unescape(argument.substring(1)));
            writer.write(Protocol.getOutputCommand(ReturnObject.getPrimitiveReturnObject(answer)));
            writer.flush();
        }
    }

    private static final class Refusal extends AbstractCommand {
        @Override
        public void execute(String name, BufferedReader reader, BufferedWriter writer) throws IOException {
            refuse(writer);
        }
    }

    /** What follows on the connection may be the rest of the refused command: it must not be read as another. */
    private static void refuse(BufferedWriter writer) throws IOException {
        writer.write(Protocol.getOutputErrorCommand("refused"));
        writer.flush();
        throw new Py4JException("refused");
    }
}
