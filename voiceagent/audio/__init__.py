"""PCM arithmetic on numpy and soxr. Everything is signed 16-bit little-endian mono unless a name says otherwise."""
