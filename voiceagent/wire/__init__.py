"""Bytes to values and back. No I/O, no clock, no logging; stdlib and attrs only."""
