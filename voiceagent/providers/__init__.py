"""Speech and dialogue providers, one file each, blind to one another."""
