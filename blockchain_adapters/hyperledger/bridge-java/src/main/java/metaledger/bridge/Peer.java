package metaledger.bridge;

import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.concurrent.TimeUnit;
import org.hyperledger.fabric.client.Contract;
import org.hyperledger.fabric.client.EndorseException;
import org.hyperledger.fabric.client.Gateway;
import org.hyperledger.fabric.client.GatewayException;
import org.hyperledger.fabric.client.Hash;
import org.hyperledger.fabric.client.Network;
import org.hyperledger.fabric.client.Proposal;
import org.hyperledger.fabric.client.SubmitException;
import org.hyperledger.fabric.client.Transaction;
import org.hyperledger.fabric.client.identity.Identities;
import org.hyperledger.fabric.client.identity.Signers;
import org.hyperledger.fabric.client.identity.X509Identity;
import org.hyperledger.fabric.protos.common.BlockchainInfo;
import org.hyperledger.fabric.protos.gateway.CommitStatusRequest;
import org.hyperledger.fabric.protos.gateway.SignedCommitStatusRequest;
import org.hyperledger.fabric.protos.msp.SerializedIdentity;
import org.hyperledger.fabric.protos.peer.ProcessedTransaction;
import org.hyperledger.fabric.protos.peer.TxValidationCode;

/** One peer's gateway service, with one identity, for one chaincode of one channel. */
final class Peer {
    private static final int LARGEST_MESSAGE = 64 << 20;
    private static final String QUERIES = "qscc"; // the system chaincode that every peer has for questions about its ledger

    private final ManagedChannel connection;
    private final Gateway gateway;
    private final Network network;
    private final Contract contract;
    private final Blocks blocks;
    private final ByteString identity;

    private Peer(ManagedChannel connection, Gateway gateway, X509Identity identity, JsonObject request) {
        this.connection = connection;
        this.gateway = gateway;
        this.network = gateway.getNetwork(Requests.text(request, "channel"));
        String chaincode = Requests.text(request, "chaincode");
        this.contract = network.getContract(chaincode);
        this.blocks = new Blocks(network, chaincode);
        this.identity = SerializedIdentity.newBuilder().setMspid(identity.getMspId())
                .setIdBytes(ByteString.copyFrom(identity.getCredentials())).build().toByteString();
    }

    /** Reads what a request holds of keys and certificates. No packet leaves before the first call. */
    static Peer open(JsonObject request) throws IOException {
        X509Identity identity = identity(request);
        var signer = signer(request);
        ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(Requests.text(request, "peer"), credentials(request))
                .maxInboundMessageSize(LARGEST_MESSAGE);
        if (request.has("authority")) {
            builder.overrideAuthority(Requests.text(request, "authority"));
        }
        long evaluate = Requests.number(request, "evaluate_ms", 10_000);
        long endorse = Requests.number(request, "endorse_ms", 15_000);
        long submit = Requests.number(request, "submit_ms", 10_000);
        ManagedChannel connection = builder.build();
        try {
            Gateway gateway = Gateway.newInstance().identity(identity).signer(signer).hash(Hash.SHA256).connection(connection)
                    .evaluateOptions(options -> options.withDeadlineAfter(evaluate, TimeUnit.MILLISECONDS))
                    .endorseOptions(options -> options.withDeadlineAfter(endorse, TimeUnit.MILLISECONDS))
                    .submitOptions(options -> options.withDeadlineAfter(submit, TimeUnit.MILLISECONDS)).connect();
            return new Peer(connection, gateway, identity, request);
        } catch (RuntimeException fault) {
            connection.shutdownNow();
            throw fault;
        }
    }

    private static ChannelCredentials credentials(JsonObject request) {
        byte[] pem = Requests.text(request, "tls_ca").getBytes(StandardCharsets.US_ASCII);
        try {
            // Read here as well: the channel reads them late, and takes none at all for the machine's own.
            if (CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(pem)).isEmpty()) {
                throw new RequestException("tls_ca holds no certificate");
            }
            return TlsChannelCredentials.newBuilder().trustManager(new ByteArrayInputStream(pem)).build();
        } catch (IOException | CertificateException fault) {
            throw new RequestException("tls_ca is one or more certificates in PEM", fault);
        }
    }

    private static X509Identity identity(JsonObject request) throws IOException {
        String certificate = Requests.text(request, "certificate");
        String msp = Requests.text(request, "msp");
        try {
            return new X509Identity(msp, Identities.readX509Certificate(new StringReader(certificate)));
        } catch (CertificateException | IllegalArgumentException fault) {
            throw new RequestException("certificate is an X.509 certificate in PEM", fault);
        }
    }

    private static org.hyperledger.fabric.client.identity.Signer signer(JsonObject request) throws IOException {
        String key = Requests.text(request, "key");
        try {
            return Signers.newPrivateKeySigner(Identities.readPrivateKey(new StringReader(key)));
        } catch (InvalidKeyException | RuntimeException fault) {
            throw new RequestException("key is a private key in PEM (PKCS #8), of a curve", fault);
        }
    }

    JsonObject evaluate(JsonObject request) throws GatewayException {
        byte[] result = proposal(request).evaluate();
        JsonObject answer = Answers.good();
        answer.addProperty("result", Answers.encoded(result));
        return answer;
    }

    /** Has a transaction signed by the peers. It has not left when this answers: the caller writes it down first. */
    JsonObject endorse(JsonObject request) {
        Proposal proposal = proposal(request);
        try {
            Transaction transaction = proposal.endorse();
            JsonObject answer = Answers.good();
            answer.addProperty("tx_id", transaction.getTransactionId());
            answer.addProperty("transaction", Answers.encoded(transaction.getBytes()));
            answer.addProperty("result", Answers.encoded(transaction.getResult()));
            return answer;
        } catch (EndorseException fault) {
            return named(Faults.answer(fault), fault.getTransactionId());
        }
    }

    /** Sends what `endorse` answered, for the first time or again: at most one transaction of an id becomes valid. */
    JsonObject submit(JsonObject request) throws InvalidProtocolBufferException {
        Transaction transaction = transaction(Requests.octets(request, "transaction"));
        try {
            transaction.submitAsync();
            return named(Answers.good(), transaction.getTransactionId());
        } catch (SubmitException fault) {
            return named(Faults.answer(fault), transaction.getTransactionId());
        }
    }

    private Transaction transaction(byte[] octets) {
        try {
            return gateway.newTransaction(octets);
        } catch (RuntimeException fault) {
            throw new RequestException("transaction is what endorse answered", fault);
        }
    }

    /** Waits for the block of a transaction. Code `timeout`: no block has it yet, which says nothing of later. */
    JsonObject status(JsonObject request) throws GatewayException {
        String transaction = Requests.text(request, "tx_id");
        long wait = Math.max(1, Requests.wait(request));
        CommitStatusRequest asked = CommitStatusRequest.newBuilder().setTransactionId(transaction).setChannelId(network.getName())
                .setIdentity(identity).build();
        byte[] unsigned = SignedCommitStatusRequest.newBuilder().setRequest(asked.toByteString()).build().toByteArray();
        var status = gateway.newCommit(unsigned).getStatus(options -> options.withDeadlineAfter(wait, TimeUnit.MILLISECONDS));
        if (!status.isSuccessful()) {
            return named(Faults.invalid(status.getCode(), status.getBlockNumber()), transaction);
        }
        JsonObject answer = named(Answers.good(), transaction);
        answer.addProperty("block", status.getBlockNumber());
        answer.addProperty("validation", status.getCode().name());
        return answer;
    }

    /** Looks a transaction up in the peer's ledger as it is now. Not found is not final. */
    JsonObject lookup(JsonObject request) throws GatewayException, InvalidProtocolBufferException {
        String transaction = Requests.text(request, "tx_id");
        JsonObject answer = named(Answers.good(), transaction);
        try {
            byte[] found = network.getContract(QUERIES).newProposal("GetTransactionByID").addArguments(network.getName(), transaction)
                    .build().evaluate();
            TxValidationCode code = TxValidationCode.forNumber(ProcessedTransaction.parseFrom(found).getValidationCode());
            answer.addProperty("found", true);
            answer.addProperty("validation", code == null ? "UNKNOWN" : code.name());
        } catch (GatewayException fault) {
            if (!Faults.answer(fault).get("message").getAsString().contains("no such transaction ID")) {
                throw fault;
            }
            answer.addProperty("found", false);
        }
        return answer;
    }

    /** How many blocks the peer has, and the hash of the newest. */
    JsonObject height() throws GatewayException, InvalidProtocolBufferException {
        byte[] found = network.getContract(QUERIES).newProposal("GetChainInfo").addArguments(network.getName()).build().evaluate();
        BlockchainInfo chain = BlockchainInfo.parseFrom(found);
        JsonObject answer = Answers.good();
        answer.addProperty("height", chain.getHeight());
        answer.addProperty("hash", Answers.encoded(chain.getCurrentBlockHash().toByteArray()));
        return answer;
    }

    JsonObject blocks(JsonObject request) throws InterruptedException {
        return blocks.next(request);
    }

    void close() {
        blocks.close();
        gateway.close();
        connection.shutdownNow();
    }

    private Proposal proposal(JsonObject request) {
        return contract.newProposal(Requests.text(request, "function")).addArguments(Requests.arguments(request)).build();
    }

    private static JsonObject named(JsonObject answer, String transaction) {
        answer.addProperty("tx_id", transaction);
        return answer;
    }
}
