"""An AI voice on an Asterisk telephone line."""
