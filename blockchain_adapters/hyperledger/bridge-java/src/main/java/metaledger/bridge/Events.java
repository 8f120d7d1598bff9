package metaledger.bridge;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.hyperledger.fabric.client.ChaincodeEvent;
import org.hyperledger.fabric.client.Checkpoint;
import org.hyperledger.fabric.client.CloseableIterator;
import org.hyperledger.fabric.client.Network;

/**
 * The events of a chaincode, taken page by page from one open stream.
 *
 * <p>A place is a block, and the transaction in it that came last: by the block alone events would come again. A call for the place
 * where the stream stands goes on with it, any other call opens a new one. One thread reads ahead into a bounded queue, and waits
 * while it is full.
 */
final class Events {
    private static final int AHEAD = 256;
    private static final int LARGEST_PAGE = 10_000;
    private static final int LARGEST_PAGE_OCTETS = 8 << 20;

    private final Network network;
    private final String chaincode;
    private Stream stream;
    private boolean closed;

    Events(Network network, String chaincode) {
        this.network = network;
        this.chaincode = chaincode;
    }

    private record Place(long block, String transaction) implements Checkpoint {
        @Override
        public OptionalLong getBlockNumber() {
            return OptionalLong.of(block);
        }

        @Override
        public Optional<String> getTransactionId() {
            return transaction.isEmpty() ? Optional.empty() : Optional.of(transaction);
        }
    }

    /** What comes after a place, none after `wait_ms` without any. */
    synchronized JsonObject next(JsonObject request) throws InterruptedException {
        Place from = new Place(Requests.number(request, "block"), Requests.text(request, "tx_id", ""));
        long limit = Math.min(LARGEST_PAGE, Math.max(1, Requests.number(request, "limit", AHEAD)));
        if (closed) {
            throw new ClosedException();
        }
        if (stream == null || !stream.place.equals(from)) {
            stop();
            stream = new Stream(from);
        }
        List<ChaincodeEvent> taken = take(limit, Requests.wait(request));
        JsonArray shown = new JsonArray();
        taken.forEach(event -> shown.add(shown(event)));
        JsonObject answer = Answers.good();
        answer.add("events", shown);
        answer.addProperty("block", stream.place.block());
        answer.addProperty("tx_id", stream.place.transaction());
        return answer;
    }

    private List<ChaincodeEvent> take(long limit, long wait) throws InterruptedException {
        List<ChaincodeEvent> taken = new ArrayList<>();
        int octets = 0;
        Object next = stream.queue.poll(wait, TimeUnit.MILLISECONDS);
        while (next instanceof ChaincodeEvent event) {
            taken.add(event);
            octets += event.getPayload().length;
            stream.place = new Place(event.getBlockNumber(), event.getTransactionId());
            boolean full = taken.size() >= limit || octets >= LARGEST_PAGE_OCTETS;
            next = full || stream.queue.peek() instanceof RuntimeException ? null : stream.queue.poll();
        }
        if (next instanceof RuntimeException fault) { // only ever alone: what came before it has been handed over
            stop();
            throw fault;
        }
        return taken;
    }

    /** Ends the stream. Does not wait for a call that waits: ending the stream ends that. */
    void close() {
        Stream open = stream;
        closed = true;
        if (open != null) {
            open.close();
        }
    }

    private void stop() {
        if (stream != null) {
            stream.close();
            stream = null;
        }
    }

    private static JsonObject shown(ChaincodeEvent event) {
        JsonObject shown = new JsonObject();
        shown.addProperty("block", event.getBlockNumber());
        shown.addProperty("tx_id", event.getTransactionId());
        shown.addProperty("name", event.getEventName());
        shown.addProperty("payload", Answers.encoded(event.getPayload()));
        return shown;
    }

    /** An open stream, and the thread that reads it. */
    private final class Stream {
        private final BlockingQueue<Object> queue = new ArrayBlockingQueue<>(AHEAD);
        private final CloseableIterator<ChaincodeEvent> incoming;
        private final Thread reader;
        private Place place;

        Stream(Place from) {
            place = from;
            incoming = network.newChaincodeEventsRequest(chaincode).startBlock(from.block()).checkpoint(from).build().getEvents();
            reader = new Thread(this::read, "events");
            reader.setDaemon(true);
            reader.start();
        }

        private void read() {
            try {
                Object next;
                do {
                    next = following();
                    queue.put(next);
                } while (next instanceof ChaincodeEvent);
            } catch (InterruptedException fault) {
                Thread.currentThread().interrupt();
            }
        }

        private Object following() {
            try {
                return incoming.hasNext() ? incoming.next() : new IllegalStateException("the peer ended the stream of events");
            } catch (RuntimeException fault) {
                return fault;
            }
        }

        void close() {
            incoming.close();
            reader.interrupt();
        }
    }
}
