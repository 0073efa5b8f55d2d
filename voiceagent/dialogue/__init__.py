"""What the agent says next: scripted flows, intents and slots, cutting text into sentences."""
