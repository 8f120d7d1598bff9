package metaledger.bridge;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.hyperledger.fabric.client.CloseableIterator;
import org.hyperledger.fabric.client.Network;
import org.hyperledger.fabric.protos.common.Block;
import org.hyperledger.fabric.protos.common.BlockMetadataIndex;
import org.hyperledger.fabric.protos.common.ChannelHeader;
import org.hyperledger.fabric.protos.common.Envelope;
import org.hyperledger.fabric.protos.common.HeaderType;
import org.hyperledger.fabric.protos.common.Payload;
import org.hyperledger.fabric.protos.common.SignatureHeader;
import org.hyperledger.fabric.protos.peer.ChaincodeAction;
import org.hyperledger.fabric.protos.peer.ChaincodeActionPayload;
import org.hyperledger.fabric.protos.peer.ChaincodeEvent;
import org.hyperledger.fabric.protos.peer.ProposalResponsePayload;
import org.hyperledger.fabric.protos.peer.Transaction;
import org.hyperledger.fabric.protos.peer.TransactionAction;
import org.hyperledger.fabric.protos.peer.TxValidationCode;

/**
 * The blocks of a channel, taken page by page from one open stream, each with what the valid transactions of one chaincode announced.
 *
 * <p>Nothing is taken from where a peer could have put it beside the chain: the data hash is computed from the block's envelopes, the
 * id of a transaction from its nonce and creator, and events are read out of the envelopes. A call for the block where the stream
 * stands goes on with it, any other call opens a new one. One thread reads ahead, and waits while too much lies ready.
 */
final class Blocks {
    private static final int AHEAD_OCTETS = 8 << 20;
    private static final int LARGEST_PAGE = 10_000;
    private static final int LARGEST_PAGE_OCTETS = 8 << 20;

    private final Network network;
    private final String chaincode;
    private Stream stream;
    private boolean closed;

    Blocks(Network network, String chaincode) {
        this.network = network;
        this.chaincode = chaincode;
    }

    /** A block as it is answered, and how many octets of the room for reading ahead it takes. */
    private record Shown(JsonObject block, int octets) {}

    /** The blocks from a number on, none after `wait_ms` without any. */
    synchronized JsonObject next(JsonObject request) throws InterruptedException {
        long first = Requests.number(request, "block");
        long limit = Math.min(LARGEST_PAGE, Math.max(1, Requests.number(request, "limit", LARGEST_PAGE)));
        boolean digests = Requests.flag(request, "digests");
        if (closed) {
            throw new ClosedException();
        }
        if (stream == null || stream.next != first || stream.digests != digests) {
            stop();
            stream = new Stream(first, digests);
        }
        JsonArray shown = take(limit, Requests.wait(request));
        JsonObject answer = Answers.good();
        answer.add("blocks", shown);
        return answer;
    }

    private JsonArray take(long limit, long wait) throws InterruptedException {
        JsonArray taken = new JsonArray();
        int octets = 0;
        Object next = stream.queue.poll(wait, TimeUnit.MILLISECONDS);
        while (next instanceof Shown shown) {
            taken.add(shown.block());
            octets += shown.octets();
            stream.room.release(shown.octets());
            stream.next++;
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

    /** An open stream, and the thread that reads it. */
    private final class Stream {
        private final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
        private final Semaphore room = new Semaphore(AHEAD_OCTETS);
        private final CloseableIterator<Block> incoming;
        private final Thread reader;
        private final boolean digests;
        private long next;

        Stream(long first, boolean digests) {
            this.next = first;
            this.digests = digests;
            incoming = network.newBlockEventsRequest().startBlock(first).build().getEvents();
            reader = new Thread(this::read, "blocks");
            reader.setDaemon(true);
            reader.start();
        }

        private void read() {
            try {
                Object found;
                do {
                    found = following();
                    if (found instanceof Shown shown) {
                        room.acquire(shown.octets());
                    }
                    queue.put(found);
                } while (found instanceof Shown);
            } catch (InterruptedException fault) {
                Thread.currentThread().interrupt();
            }
        }

        private Object following() {
            try {
                return incoming.hasNext() ? shown(incoming.next(), digests) : new IllegalStateException("the peer ended the stream of blocks");
            } catch (InvalidProtocolBufferException fault) {
                return new IllegalStateException("the peer shows a block that is none", fault);
            } catch (RuntimeException fault) {
                return fault;
            }
        }

        void close() {
            incoming.close();
            reader.interrupt();
        }
    }

    private Shown shown(Block block, boolean digests) throws InvalidProtocolBufferException {
        MessageDigest whole = sha256();
        ByteString verdicts = verdicts(block);
        JsonArray events = new JsonArray();
        int octets = 512;
        int place = 0;
        for (ByteString envelope : block.getData().getDataList()) {
            whole.update(envelope.asReadOnlyByteBuffer());
            if (place < verdicts.size() && (verdicts.byteAt(place) & 0xff) == TxValidationCode.VALID_VALUE) {
                JsonObject event = event(Envelope.parseFrom(envelope), digests);
                if (event != null) {
                    octets += 256 + event.get(digests ? "digest" : "payload").getAsString().length();
                    events.add(event);
                }
            }
            place++;
        }
        JsonObject shown = new JsonObject();
        shown.addProperty("number", block.getHeader().getNumber());
        shown.addProperty("previous", Answers.encoded(block.getHeader().getPreviousHash().toByteArray()));
        shown.addProperty("data", Answers.encoded(whole.digest()));
        shown.add("events", events);
        return new Shown(shown, Math.min(octets, AHEAD_OCTETS));
    }

    private static ByteString verdicts(Block block) {
        int at = BlockMetadataIndex.TRANSACTIONS_FILTER_VALUE;
        boolean there = block.getMetadata().getMetadataCount() > at;
        return there ? block.getMetadata().getMetadata(at) : ByteString.EMPTY;
    }

    /** What a transaction of the chaincode announced; null when it announced nothing, or is none. */
    private JsonObject event(Envelope envelope, boolean digests) throws InvalidProtocolBufferException {
        Payload payload = Payload.parseFrom(envelope.getPayload());
        ChannelHeader channel = ChannelHeader.parseFrom(payload.getHeader().getChannelHeader());
        if (channel.getType() != HeaderType.ENDORSER_TRANSACTION_VALUE || !channel.getChannelId().equals(network.getName())) {
            return null;
        }
        for (TransactionAction one : Transaction.parseFrom(payload.getData()).getActionsList()) {
            ByteString response = ChaincodeActionPayload.parseFrom(one.getPayload()).getAction().getProposalResponsePayload();
            ChaincodeAction action = ChaincodeAction.parseFrom(ProposalResponsePayload.parseFrom(response).getExtension());
            if (!action.getChaincodeId().getName().equals(chaincode) || action.getEvents().isEmpty()) {
                continue;
            }
            ChaincodeEvent event = ChaincodeEvent.parseFrom(action.getEvents());
            byte[] announced = event.getPayload().toByteArray();
            JsonObject shown = new JsonObject();
            shown.addProperty("tx_id", id(SignatureHeader.parseFrom(payload.getHeader().getSignatureHeader())));
            shown.addProperty("name", event.getEventName());
            shown.addProperty(digests ? "digest" : "payload", Answers.encoded(digests ? sha256().digest(announced) : announced));
            return shown;
        }
        return null;
    }

    private static String id(SignatureHeader header) {
        MessageDigest digest = sha256();
        digest.update(header.getNonce().asReadOnlyByteBuffer());
        digest.update(header.getCreator().asReadOnlyByteBuffer());
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException fault) {
            throw new IllegalStateException(fault); // every Java has it
        }
    }
}
