"""A small sample of `python -m tests.understanding`, and that its judge can say no."""

from attrs import evolve, frozen

from tests.embedded_processes import within
from tests.understanding import judging, tuning
from tests.understanding.material import Answer, Done, Material
from tests.understanding.measure import measure, open_rig
from tests.understanding.telephone import Telephone, turns_of
from voiceagent.audio.pcm import Pcm, silence
from voiceagent.providers.embedded import EmbeddedOptions

_BOOKING, _BILLING = (
    next(errand for errand in tuning.MATERIAL.errands if errand.name == name)
    for name in ("booking step by step", "to the billing department")
)
_VOICE = tuning.MATERIAL.voices[0]


@within(100)
async def test_a_sample_of_callers_is_understood_and_strangers_are_not_acted_upon() -> None:
    sample = evolve(
        tuning.MATERIAL,
        voices=(_VOICE,),
        errands=(_BOOKING,),
        out_of_domain=tuning.MATERIAL.out_of_domain[:6],
        paraphrases=(),
    )
    result = await measure(sample, None)
    assert result.errands.hits == result.errands.total, result.errands.notes
    assert result.acted_upon.hits <= 1, result.acted_upon.notes


@frozen
class _Mute:
    async def say(self, text: str, voice: EmbeddedOptions, *, seed: int) -> list[Pcm]:
        return [silence(8000, 1.0 + 0.01 * len(text) + 0.001 * (seed % 7) + 0.0 * voice.pitch)]


@within(100)
async def test_an_errand_fails_when_the_caller_cannot_be_heard_or_says_something_else() -> None:
    async with open_rig(None, recognisers=1) as rig:
        mute = evolve(rig, phone=_Mute())  # type: ignore[arg-type]
        assert not (await mute.run_errand(_BOOKING, _VOICE)).reached
        other = evolve(_BOOKING, answers=(Answer("", "what is your address", "goodbye"),))
        assert not (await rig.run_errand(other, _VOICE)).reached
        assert not (await rig.run_errand(evolve(_BILLING, answers=other.answers), _VOICE)).reached


@within(100)
async def test_audio_is_cut_into_turns_with_the_pauses_around_them() -> None:
    async with open_rig(20.0, recognisers=1) as rig:
        phone: Telephone = rig.phone
        (turn,) = await phone.say("i need an appointment", _VOICE.options, seed=1)
    assert 1.5 < turn.seconds < 3.5
    assert list(turns_of(silence(8000, 3.0))) == []


def test_what_is_judged_was_not_tuned_on() -> None:
    tuned, judged = tuning.MATERIAL, judging.MATERIAL
    assert not {voice.name for voice in tuned.voices} & {voice.name for voice in judged.voices}
    assert not set(tuned.out_of_domain) & set(judged.out_of_domain)
    assert not set(tuned.paraphrases) & set(judged.paraphrases)
    days, hours = (_values(tuned, name) & _values(judged, name) for name in ("day", "hour"))
    assert not days
    assert not hours
    assert len(judged.errands) >= 5
    assert len(judged.voices) >= 4
    assert len(judged.out_of_domain) >= 100


def _values(material: Material, slot: str) -> set[str]:
    goals = [goal for errand in material.errands for goal in errand.goals if isinstance(goal, Done)]
    return {goal.arguments[slot] for goal in goals if slot in goal.arguments}
