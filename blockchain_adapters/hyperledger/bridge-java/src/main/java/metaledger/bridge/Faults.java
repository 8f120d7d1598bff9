package metaledger.bridge;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.SSLException;
import org.hyperledger.fabric.client.GatewayException;
import org.hyperledger.fabric.client.GatewayRuntimeException;
import org.hyperledger.fabric.client.SubmitException;
import org.hyperledger.fabric.protos.gateway.ErrorDetail;
import org.hyperledger.fabric.protos.peer.TxValidationCode;

/**
 * What went wrong, as one code and one message.
 *
 * <p>The status of gRPC alone misleads: an unknown channel, a wrong certificate authority and a peer that is down are all
 * UNAVAILABLE, and a certificate that the channel does not know is FAILED_PRECONDITION, ABORTED or PERMISSION_DENIED, as the call
 * may be. So the texts of the peer and the causes within this process are looked at too.
 */
final class Faults {
    private static final int LONGEST = 1_000;
    private static final Pattern REFUSED = Pattern.compile("chaincode response (\\d+),\\s*(.*)", Pattern.DOTALL);
    private static final Pattern IDENTITY = Pattern.compile(
            "access denied|creator|permission|not authorized|unauthorized|certificate|expired|signature set|MSP \\S+ is (unknown|not defined)",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern ENDORSEMENT = Pattern.compile(
            "endorsement policy|endorsement combination|no combination of peers|ProposalResponsePayloads do not match|enough transaction endorsements",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern CHAINCODE_DOWN = Pattern.compile(
            "could not launch chaincode|error starting container|connection to \\S+ failed|failed to execute transaction|timeout expired while (starting|executing)",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern CHAINCODE = Pattern.compile(
            "no peers available to evaluate chaincode|no metadata was found for chaincode|chaincode \\S+ (not found|is not defined|is not installed|does not exist)"
                    + "|make sure the chaincode|cannot retrieve package for chaincode|failed to find any endorsing peers",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern CHANNEL = Pattern.compile("channel", Pattern.CASE_INSENSITIVE);
    // With these words a status stands that means something else: UNAVAILABLE and PERMISSION_DENIED.
    private static final Pattern EXPIRED = Pattern.compile("client identity expired", Pattern.CASE_INSENSITIVE);
    private static final Pattern NO_CHANNEL = Pattern.compile("failed to get policy manager for channel", Pattern.CASE_INSENSITIVE);
    private static final Pattern ORDERER = Pattern.compile("orderer|ordering service", Pattern.CASE_INSENSITIVE);

    private static final Pattern NO_BLOCKS = Pattern.compile("unexpected status response: (\\w+)", Pattern.CASE_INSENSITIVE);

    private Faults() {}

    /** Returns the answer for what was thrown. */
    static JsonObject answer(Throwable fault) {
        if (fault instanceof GatewayException gateway) {
            JsonObject answer = answer(gateway.getStatus(), texts(gateway.getStatus(), gateway.getDetails()), fault);
            answer.addProperty("sent", fault instanceof SubmitException && mayHaveLeft(answer));
            return answer;
        }
        if (fault instanceof GatewayRuntimeException gateway) {
            return answer(gateway.getStatus(), texts(gateway.getStatus(), gateway.getDetails()), fault);
        }
        if (fault instanceof StatusRuntimeException raw) {
            return answer(raw.getStatus(), texts(raw.getStatus(), List.of()), fault);
        }
        Matcher blocks = NO_BLOCKS.matcher(described(fault));
        if (blocks.find()) {
            return answer(noBlocks(blocks.group(1)), described(fault));
        }
        boolean asked = fault instanceof RequestException || fault instanceof JsonParseException;
        return answer(fault instanceof ClosedException ? "closed" : asked ? "request" : "failed", described(fault));
    }

    /** What a peer means by the one word with which it ends a stream of blocks. Our requests are well-formed: what is bad is their time. */
    private static String noBlocks(String word) {
        return switch (word) {
            case "BAD_REQUEST" -> "clock";
            case "FORBIDDEN" -> "identity";
            case "NOT_FOUND" -> "channel";
            case "SERVICE_UNAVAILABLE" -> "peer-down";
            default -> "failed";
        };
    }

    /** Returns the answer for a transaction that stands in a block without being valid. */
    static JsonObject invalid(TxValidationCode validation, long block) {
        String code = switch (validation) {
            case MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT -> "conflict";
            case ENDORSEMENT_POLICY_FAILURE -> "endorsement";
            case DUPLICATE_TXID -> "duplicate";
            case BAD_CREATOR_SIGNATURE, INVALID_ENDORSER_TRANSACTION -> "identity";
            default -> "invalid";
        };
        JsonObject answer = answer(code, "block " + block + " holds it as " + validation.name());
        answer.addProperty("block", block);
        answer.addProperty("validation", validation.name());
        return answer;
    }

    static JsonObject answer(String code, String message) {
        JsonObject answer = new JsonObject();
        answer.addProperty("ok", false);
        answer.addProperty("code", code);
        answer.addProperty("message", message.length() > LONGEST ? message.substring(0, LONGEST) : message);
        return answer;
    }

    private static JsonObject answer(Status status, String text, Throwable fault) {
        Matcher refused = REFUSED.matcher(text);
        if (refused.find()) {
            JsonObject answer = answer("refused", refused.group(2));
            answer.addProperty("grpc_status", status.getCode().name());
            answer.addProperty("response", Integer.parseInt(refused.group(1)));
            return answer;
        }
        JsonObject answer = answer(code(status, text), status.getCause() == null ? text : text + ": " + described(root(status.getCause())));
        answer.addProperty("grpc_status", status.getCode().name());
        return answer;
    }

    private static String code(Status status, String text) {
        if (status.getCode() == Status.Code.DEADLINE_EXCEEDED || status.getCode() == Status.Code.CANCELLED) {
            return "timeout";
        }
        // It comes from here, not from the peer. A connection that breaks in the middle of a call may well be UNKNOWN.
        if (status.getCode() == Status.Code.UNAVAILABLE && status.getCause() != null || caused(status.getCause(), IOException.class)) {
            return caused(status.getCause(), SSLException.class) && !broken(root(status.getCause())) ? "tls" : "peer-down";
        }
        if (EXPIRED.matcher(text).find()) {
            return "identity";
        }
        if (NO_CHANNEL.matcher(text).find()) {
            return "channel";
        }
        if (ORDERER.matcher(text).find()) {
            return "orderer-down";
        }
        if (CHAINCODE.matcher(text).find()) {
            return "chaincode";
        }
        if (status.getCode() == Status.Code.UNAVAILABLE) {
            return CHANNEL.matcher(text).find() ? "channel" : "peer-down";
        }
        if (status.getCode() == Status.Code.PERMISSION_DENIED || status.getCode() == Status.Code.UNAUTHENTICATED) {
            return "identity";
        }
        return peerSays(text);
    }

    private static String peerSays(String text) {
        if (IDENTITY.matcher(text).find()) {
            return "identity";
        }
        if (CHAINCODE_DOWN.matcher(text).find()) {
            return "chaincode-down";
        }
        return ENDORSEMENT.matcher(text).find() ? "endorsement" : "failed";
    }

    /** A submit that never reached the peer left nothing behind; with any other answer an orderer may hold the transaction. */
    private static boolean mayHaveLeft(JsonObject answer) {
        String code = answer.get("code").getAsString();
        return !"tls".equals(code) && !"identity".equals(code);
    }

    /** What the peer said, and what each peer behind it said beyond that. The first line of a description is its message. */
    private static String texts(Status status, List<ErrorDetail> details) {
        String described = status.getDescription() == null ? status.getCode().name() : status.getDescription();
        String said = described.lines().findFirst().orElse("");
        String more = details.stream().filter(one -> !said.contains(one.getMessage()))
                .map(one -> one.getAddress() + ": " + one.getMessage()).collect(Collectors.joining("; "));
        return more.isEmpty() ? said : said + ": " + more;
    }

    private static boolean caused(Throwable fault, Class<? extends Throwable> kind) {
        for (Throwable one = fault; one != null; one = one.getCause() == one ? null : one.getCause()) {
            if (kind.isInstance(one)) {
                return true;
            }
        }
        return false;
    }

    /** A connection that ended in the middle of a handshake says nothing about certificates. */
    private static boolean broken(Throwable root) {
        return root instanceof IOException && !(root instanceof SSLException) || described(root).contains("closed while SSL/TLS handshake");
    }

    private static Throwable root(Throwable fault) {
        Throwable one = fault;
        while (one.getCause() != null && one.getCause() != one) {
            one = one.getCause();
        }
        return one;
    }

    private static String described(Throwable fault) {
        return fault.getMessage() == null ? fault.getClass().getSimpleName() : fault.getMessage();
    }
}
