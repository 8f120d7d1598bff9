package metaledger.bridge;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** Members of a request. Every method raises RequestException for one that is missing or of another type. */
final class Requests {
    static final long LONGEST_WAIT_MS = 60_000;

    private Requests() {}

    static String text(JsonObject request, String name) {
        JsonElement found = request.get(name);
        if (found == null || !found.isJsonPrimitive() || !found.getAsJsonPrimitive().isString()) {
            throw new RequestException(name + " is a string");
        }
        return found.getAsString();
    }

    static String text(JsonObject request, String name, String absent) {
        return request.has(name) ? text(request, name) : absent;
    }

    static long number(JsonObject request, String name) {
        JsonElement found = request.get(name);
        if (found == null || !found.isJsonPrimitive() || !found.getAsJsonPrimitive().isNumber()) {
            throw new RequestException(name + " is a number");
        }
        try {
            long number = Long.parseLong(found.getAsString());
            if (number < 0) {
                throw new RequestException(name + " is not below 0");
            }
            return number;
        } catch (NumberFormatException fault) {
            throw new RequestException(name + " is a whole number", fault);
        }
    }

    static long number(JsonObject request, String name, long absent) {
        return request.has(name) ? number(request, name) : absent;
    }

    /** A member that is true or false; false when it is not there. */
    static boolean flag(JsonObject request, String name) {
        JsonElement found = request.get(name);
        if (found != null && (!found.isJsonPrimitive() || !found.getAsJsonPrimitive().isBoolean())) {
            throw new RequestException(name + " is true or false");
        }
        return found != null && found.getAsBoolean();
    }

    /** How long a call may wait, in milliseconds. */
    static long wait(JsonObject request) {
        return Math.min(LONGEST_WAIT_MS, number(request, "wait_ms", 0));
    }

    static byte[] octets(JsonObject request, String name) {
        return decoded(text(request, name), name);
    }

    /** Arguments of a chaincode function: each is base64. */
    static byte[][] arguments(JsonObject request) {
        JsonElement found = request.get("arguments");
        if (found == null || !found.isJsonArray()) {
            throw new RequestException("arguments is an array");
        }
        JsonArray given = found.getAsJsonArray();
        List<byte[]> arguments = new ArrayList<>(given.size());
        for (JsonElement one : given) {
            if (!one.isJsonPrimitive() || !one.getAsJsonPrimitive().isString()) {
                throw new RequestException("an argument is a string");
            }
            arguments.add(decoded(one.getAsString(), "an argument"));
        }
        return arguments.toArray(byte[][]::new);
    }

    private static byte[] decoded(String text, String name) {
        try {
            return Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException fault) {
            throw new RequestException(name + " is base64", fault);
        }
    }
}
