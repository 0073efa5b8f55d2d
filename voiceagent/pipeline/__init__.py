"""The Trio stages of a conversation, one async function each."""
