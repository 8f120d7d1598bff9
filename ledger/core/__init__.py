"""Pure: bytes in, typed objects or domain errors out. No I/O, no clock, no randomness."""
