"""The signing process: the sequencer, the log's keys and the one writable connection, in a process of their own (docs/adr/0050)."""
