"""How much the embedded speech parts and the default flow understand together, measured off-line.

`python -m tests.understanding` prints a table (`--json`: data) and exits 1 when a bar is missed. Synthetic callers
speak
through µ-law at 8 kHz; their audio is cut into turns as the service does, recognised by the real workers and answered
by the real dialogue. What is judged (judging.py) shares no voice, slot value or order of turns with what was tuned on
(tuning.py). docs/speech.md explains the method and keeps the figures.
"""
