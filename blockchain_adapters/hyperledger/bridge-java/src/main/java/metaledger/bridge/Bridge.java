package metaledger.bridge;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;

/**
 * What Python may call: each method takes one JSON object and answers one, as README.md lists them.
 *
 * <p>Nothing here outlives a connection but its gRPC channel and an open stream of blocks: a transaction travels as bytes, so that
 * one that was prepared by a process that died is sent by the next.
 */
final class Bridge {
    private final Map<String, Peer> peers = new ConcurrentHashMap<>();
    private final AtomicLong opened = new AtomicLong();

    /** The methods by name. */
    Map<String, UnaryOperator<String>> methods() {
        return Map.of(
                "ping", answering(request -> Answers.good()),
                "open", answering(this::open),
                "close", answering(this::close),
                "evaluate", answering(request -> peer(request).evaluate(request)),
                "endorse", answering(request -> peer(request).endorse(request)),
                "submit", answering(request -> peer(request).submit(request)),
                "status", answering(request -> peer(request).status(request)),
                "lookup", answering(request -> peer(request).lookup(request)),
                "height", answering(request -> peer(request).height()),
                "blocks", answering(request -> peer(request).blocks(request)));
    }

    private interface Method {
        JsonObject apply(JsonObject request) throws Exception;
    }

    private static UnaryOperator<String> answering(Method method) {
        return text -> {
            try {
                JsonObject answer = method.apply(JsonParser.parseString(text).getAsJsonObject());
                return answer.toString();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
                return Faults.answer(interrupted).toString();
            } catch (Exception | LinkageError | OutOfMemoryError fault) {
                return Faults.answer(fault).toString();
            }
        };
    }

    private JsonObject open(JsonObject request) throws Exception {
        Peer peer = Peer.open(request);
        String name = Long.toString(opened.incrementAndGet());
        peers.put(name, peer);
        JsonObject answer = Answers.good();
        answer.addProperty("connection", name);
        return answer;
    }

    private JsonObject close(JsonObject request) {
        Peer peer = peers.remove(Requests.text(request, "connection"));
        if (peer != null) {
            peer.close();
        }
        return Answers.good();
    }

    private Peer peer(JsonObject request) {
        Peer peer = peers.get(Requests.text(request, "connection"));
        if (peer == null) {
            throw new ClosedException();
        }
        return peer;
    }
}
