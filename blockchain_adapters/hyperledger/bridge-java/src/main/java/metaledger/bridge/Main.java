package metaledger.bridge;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.Logger;

/**
 * The process: token on the first line of stdin, one line on stdout when it is ready, and an end when stdin ends.
 *
 * <p>The token comes neither by argument nor by environment, which other users of a machine may read. The other end of stdin is
 * held by the parent alone, so this process cannot outlive it.
 */
public final class Main {
    static final int SHORTEST_TOKEN = 32;
    static final int WRONG_USE = 2;

    private Main() {}

    /** Serves until stdin ends. Exit codes: 0 the parent is gone, 2 no token came. */
    public static void main(String[] arguments) throws IOException {
        BufferedReader stdin = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String token = stdin.readLine();
        if (token == null || token.length() < SHORTEST_TOKEN) {
            System.err.println("The first line of stdin is a token of " + SHORTEST_TOKEN + " or more characters.");
            System.exit(WRONG_USE);
        }
        quiet();
        // A copy of the parent that was forked off may hold stdin open when the parent itself is gone.
        ProcessHandle.current().parent().ifPresent(parent -> parent.onExit().thenRun(() -> Runtime.getRuntime().halt(0)));
        LockedServer server = new LockedServer(new Bridge().methods(), token);
        server.start(true);
        System.out.println("{\"port\":" + server.getListeningPort() + ",\"pid\":" + ProcessHandle.current().pid() + "}");
        System.out.flush();
        while (stdin.readLine() != null) {
            continue;
        }
        Runtime.getRuntime().halt(0); // nothing is held here that an orderly end would save
    }

    /** Both libraries log what a caller did, arguments and all; what matters is in the answers. */
    private static void quiet() {
        LogManager.getLogManager().reset();
        Logger.getLogger("").setLevel(Level.OFF);
        System.setErr(new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8)); // nobody reads it from now on
    }
}
