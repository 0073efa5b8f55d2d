"""Turn-taking as pure state machines: time comes in as an argument, decisions come out."""
