"""What the recogniser and the thresholds were tuned on. Nothing here is used for judging."""

from typing import Final

from tests.understanding.material import Answer, Done, Errand, Material, Told, Voice

_VOICES: Final = (
    Voice("en-us", pitch=50, speed=160),
    Voice("en-gb+f2", pitch=50, speed=155),
    Voice("en-gb-x-rp+m1", pitch=45, speed=150),
    Voice("en-us+f4", pitch=55, speed=150),
)

_NO_MORE: Final = Answer("anything else", "no thank you", "no")

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
)

#: Nothing a bicycle shop's receptionist can act on.
_OUT_OF_DOMAIN: Final = (
    "the cat sat on the window all morning",
    "my brother lives in a small town near the coast",
    "it has been raining since yesterday evening",
    "we painted the kitchen yellow last summer",
    "do you know who won the football game",
    "the soup needs a little more salt",
    "she plays the violin in an orchestra",
    "our train was delayed by almost an hour",
    "i forgot my umbrella in the office",
    "the children are playing in the garden",
    "please pass me the bread and the butter",
    "there are too many emails in my inbox",
    "i think the movie was far too long",
    "he bought a new computer for his daughter",
    "what is the capital of australia",
    "tell me a joke about penguins",
    "the battery of my phone is almost empty",
    "we should plant some roses along the fence",
    "i have never been to japan",
    "the museum has a new exhibition about dinosaurs",
    "my favorite color is dark green",
    "the doctor told him to drink more water",
    "let us have dinner at the italian place",
    "can a penguin fly over the ocean",
    "the price of coffee went up again",
    "i need to renew my passport this month",
    "somebody left the lights on in the basement",
    "there is a spider in the bathtub",
    "the government announced a new law",
    "how many planets are in the solar system",
    "turn the music down it is too loud",
    "my shoes are still wet from the rain",
    "the baby did not sleep last night",
    "i would like to order a large pizza with mushrooms",
    "i would like to buy a ticket to the opera",
    "can you recommend a good restaurant",
    "what is the weather like in london",
    "where did you put my glasses",
    "when does the next bus leave",
    "could you lend me twenty dollars",
    "i have a question about quantum physics",
    "what time is it in tokyo",
    "are you a robot or a human being",
    "how do i boil an egg",
    "can i bring my dog to the cinema",
    "i want to learn how to swim",
    "do you sell fresh vegetables",
    "my password does not work any more",
    "honey i will be late for dinner",
    "wait a moment somebody is at the door",
    "no not you i am talking to my son",
    "uh huh",
    "hello",
    "mister johnson is not available",
    "that sounds wonderful",
    "never mind",
    "what did she say about the party",
    "the elephant",
    "strawberry",
    "fifty thousand kilometers",
)

#: Said differently from every phrase of the flow, and a phrase of the flow that means the same.
_PARAPHRASES: Final = (
    ("are you open now", "opening hours"),
    ("tell me your opening hours please", "opening hours"),
    ("at what time do you close", "opening hours"),
    ("what hours are you open", "opening hours"),
    ("where exactly are you", "where is your shop"),
    ("could you tell me your address", "where is your shop"),
    ("where can i find your shop", "where is your shop"),
    ("how can i get to the shop", "can you give me directions"),
    ("i need directions to your shop", "can you give me directions"),
    ("could i book an appointment", "i need an appointment"),
    ("i want to make an appointment", "i need an appointment"),
    ("hello i need an appointment on friday please", "book an appointment for friday"),
    ("i would like to record a message", "leave a message"),
    ("could i leave a message for you", "leave a message"),
    ("please take a message", "leave a message"),
    ("can i speak to sales", "i would like to speak to sales"),
    ("please connect me with the workshop", "connect me with the workshop"),
    ("billing department please", "billing please"),
    ("i would like to talk to a real person", "i would like to speak to a person"),
    ("can i speak to somebody", "i would like to speak to a person"),
    ("what else can you do", "what are my options"),
    ("okay goodbye", "goodbye"),
    ("thank you that is all", "goodbye"),
    ("please repeat that", "could you repeat that"),
)

MATERIAL: Final = Material(_VOICES, _ERRANDS, _OUT_OF_DOMAIN, _PARAPHRASES)
