"""Trio shells around the wire: the AudioSocket line, its listener, the media clock."""
