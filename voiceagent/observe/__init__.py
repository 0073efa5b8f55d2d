"""Subscribers of the journal."""
