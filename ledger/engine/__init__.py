"""The log on disk: database, store, state view, sequencer, replica, journal (DESIGN 5)."""
