"""Ledgers on chains: what all of them share, and an adapter each."""
