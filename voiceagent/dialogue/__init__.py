"""What to say: scripted flows, and text cut into sentences that can be spoken."""

from voiceagent.dialogue.flow import Flow
from voiceagent.dialogue.load import CALL_TOOLS, FlowErrors, load_flow
from voiceagent.dialogue.scripted import FlowDialogue

__all__ = ["CALL_TOOLS", "Flow", "FlowDialogue", "FlowErrors", "load_flow"]
