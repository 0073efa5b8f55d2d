"""What the recogniser, its thresholds and the flow are tuned on. Nothing here is used for judging.

The second half of voices and errands was what was judged until November 2026.
"""

from typing import Final

from tests.understanding.material import Answer, Done, Errand, Material, Told, Voice
from tests.understanding.tuning_sentences import OUT_OF_DOMAIN, PARAPHRASES

_VOICES: Final = (
    Voice("en-us", pitch=50, speed=160),
    Voice("en-gb+f2", pitch=50, speed=155),
    Voice("en-gb-x-rp+m1", pitch=45, speed=150),
    Voice("en-us+f4", pitch=55, speed=150),
    Voice("en-us+f3", pitch=45, speed=155),
    Voice("en-gb", pitch=50, speed=160),
    Voice("en-gb-scotland+m3", pitch=50, speed=150),
    Voice("en-us+m2", pitch=40, speed=150),
)

_NO_MORE: Final = Answer("anything else", "no thank you", "no")
_THAT_IS_ALL: Final = Answer("anything else", "no thank you", "no that is all")

_ERRANDS: Final = (
    Errand(
        "booking step by step",
        (
            Answer("which day", "on monday", "monday please"),
            Answer("what time", "at ten o'clock", "ten o'clock please"),
            Answer("Monday at ten o'clock, is that right", "yes", "yes that is right"),
            Answer("is that right", "no", "no that is wrong"),
            _NO_MORE,
            Answer("", "i need an appointment", "i would like to book an appointment"),
        ),
        (Done("note", {"kind": "booking", "day": "monday", "hour": "10:00"}), Done("hang_up")),
    ),
    Errand(
        "booking at once",
        (
            Answer("which day", "thursday please", "thursday"),
            Answer("what time", "at two o'clock", "two o'clock please"),
            Answer("Thursday at two o'clock, is that right", "yes please", "yes"),
            Answer("is that right", "no that is wrong", "no"),
            _NO_MORE,
            Answer("", "i would like to book thursday at two o'clock", "book an appointment for thursday"),
        ),
        (Done("note", {"kind": "booking", "day": "thursday", "hour": "14:00"}), Done("hang_up")),
    ),
    Errand(
        "opening hours",
        (
            Answer("open from|anything else|What else", "goodbye", "bye bye"),
            Answer("", "when are you open", "opening hours"),
        ),
        (Told("open from Monday to Friday"), Done("hang_up")),
    ),
    Errand(
        "address and sales",
        (
            Answer("Station Road", "could i speak to sales please", "sales please"),
            Answer("", "what is your address", "your address please"),
        ),
        (Told("twelve Station Road"), Done("transfer", {"target": "sales"})),
    ),
    Errand(
        "an appointment, asked step by step",
        (
            Answer("which day", "friday please", "on friday"),
            Answer("what time", "half past eleven", "at half past eleven"),
            Answer("Friday at half past eleven, is that right", "yes that is right", "yes"),
            Answer("is that right", "no that is wrong", "no"),
            _THAT_IS_ALL,
            Answer("", "i would like to book an appointment", "i need an appointment"),
        ),
        (Done("note", {"kind": "booking", "day": "friday", "hour": "11:30"}), Done("hang_up")),
    ),
    Errand(
        "an appointment in one sentence",
        (
            Answer("which day", "on wednesday", "wednesday please"),
            Answer("what time", "three in the afternoon", "three o'clock please"),
            Answer("Wednesday at three o'clock, is that right", "yes please", "yes that is right"),
            Answer("is that right", "no", "no that is wrong"),
            _THAT_IS_ALL,
            Answer(
                "",
                "i would like an appointment on wednesday at three in the afternoon",
                "i want to come in on wednesday",
            ),
        ),
        (Done("note", {"kind": "booking", "day": "wednesday", "hour": "15:00"}), Done("hang_up")),
    ),
    Errand(
        "opening hours, then an appointment",
        (
            Answer("which day", "tomorrow", "tomorrow please"),
            Answer("what time", "nine o'clock please", "at nine o'clock"),
            Answer("tomorrow at nine o'clock, is that right", "yes", "yes that is right"),
            Answer("is that right", "no", "no that is wrong"),
            _THAT_IS_ALL,
            Answer("open from Monday|What else", "can i make an appointment for tomorrow", "i need an appointment"),
            Answer("", "what are your opening hours", "when are you open"),
        ),
        (
            Told("open from Monday to Friday"),
            Done("note", {"kind": "booking", "day": "tomorrow", "hour": "09:00"}),
            Done("hang_up"),
        ),
    ),
    Errand(
        "address, a message, goodbye",
        (
            Answer("anything else", "that is all thank you", "no thank you"),
            Answer("Station Road|What else", "can i leave a message", "leave a message"),
            Answer("", "where are you located", "where is your shop"),
        ),
        (Told("twelve Station Road"), Done("take_message"), Done("hang_up")),
    ),
    Errand(
        "to the billing department",
        (
            Answer("sales, the workshop, or billing", "billing please", "the billing department"),
            Answer("", "i have a question about my bill", "put me through to billing"),
        ),
        (Done("transfer", {"target": "billing"}),),
    ),
    Errand(
        "directions, then the workshop",
        (
            Answer("central station|What else", "connect me with the workshop", "could i speak to the workshop please"),
            Answer("", "can you give me directions", "how do i get there"),
        ),
        (Told("leave by the main door"), Done("transfer", {"target": "workshop"})),
    ),
    Errand(
        "a person",
        (Answer("", "i would like to speak to a person", "can i talk to somebody"),),
        (Done("transfer", {"target": "front_desk"}),),
    ),
)

MATERIAL: Final = Material(_VOICES, _ERRANDS, OUT_OF_DOMAIN, PARAPHRASES)
