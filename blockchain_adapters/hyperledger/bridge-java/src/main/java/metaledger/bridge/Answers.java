package metaledger.bridge;

import com.google.gson.JsonObject;
import java.util.Base64;

/** Answers that are not faults. */
final class Answers {
    private Answers() {}

    static JsonObject good() {
        JsonObject answer = new JsonObject();
        answer.addProperty("ok", true);
        return answer;
    }

    static String encoded(byte[] octets) {
        return Base64.getEncoder().encodeToString(octets);
    }
}
