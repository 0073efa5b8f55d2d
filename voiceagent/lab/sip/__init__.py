"""A SIP phone with RTP for tests, with exact times."""

from voiceagent.lab.sip.call import SipCall
from voiceagent.lab.sip.caller import SipPhone, open_sip_caller
from voiceagent.lab.sip.dialog import Ended
from voiceagent.lab.sip.media import Arrival, Heard

__all__ = ["Arrival", "Ended", "Heard", "SipCall", "SipPhone", "open_sip_caller"]
