"""Asterisk's REST interface as values: what it tells (`events`, `models`) and what it is asked (`commands`).

Names, and which fields must be there, are those of Asterisk's own description at /ari/api-docs (22.10).
"""
