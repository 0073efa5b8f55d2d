"""Tests against a real Asterisk, in real time: `python -m pytest tests/rig`."""
