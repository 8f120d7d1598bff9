package metaledger.bridge;

/** A request names a connection that this process does not have: it was closed, or an earlier process had it. */
final class ClosedException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    ClosedException() {
        super("there is no such connection");
    }
}
