package metaledger.bridge;

/** A request that is not as README.md says. */
final class RequestException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    RequestException(String message) {
        super(message);
    }

    RequestException(String message, Throwable cause) {
        super(message, cause);
    }
}
