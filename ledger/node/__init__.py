"""The sync agent: follows a log, verifies every byte, and answers reads from its own replica."""
