"""What puts the log onto chains; each adapter is an extra (docs/concepts.md)."""
