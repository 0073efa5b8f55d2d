"""PCM arithmetic: rates, filters, levels, files."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.audio.filters import HighPass
from voiceagent.audio.pcm import SILENCE_DBFS, Pcm, level_dbfs, samples_of, silence, with_noise
from voiceagent.audio.resample import StreamResampler, resample
from voiceagent.audio.tones import tone
from voiceagent.audio.wav import WavError, read_wav, write_stereo_wav, write_wav

RATES = [8000, 12000, 16000, 24000, 32000, 44100, 48000, 96000, 192000]


def cut(data: bytes, edges: list[int]) -> list[bytes]:
    points = [0, *sorted(edge * 2 for edge in edges if edge * 2 <= len(data)), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(points)]


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", [8000, 16000])
def test_a_live_tone_keeps_its_level_and_duration_at_another_rate(source: int, target: int) -> None:
    converted = Pcm(target, StreamResampler(source, target).convert(tone(source, 1000, 1.0).data))
    assert converted.seconds == pytest.approx(1.0, abs=0.003)
    assert level_dbfs(converted.data) == pytest.approx(level_dbfs(tone(source, 1000, 1.0).data), abs=0.3)


def test_what_the_target_rate_cannot_carry_is_taken_away() -> None:
    assert level_dbfs(StreamResampler(16000, 8000).convert(tone(16000, 6000, 1.0).data)) < -50


@given(st.sampled_from(RATES), st.lists(st.integers(0, 900), max_size=6))
def test_cutting_live_audio_anywhere_changes_nothing(source: int, edges: list[int]) -> None:
    data = tone(source, 440, 900 / source).data
    whole, pieces = StreamResampler(source, 16000), StreamResampler(source, 16000)
    high_whole, high_pieces = HighPass(source), HighPass(source)
    assert b"".join(map(pieces.convert, cut(data, edges))) == whole.convert(data)
    joined = samples_of(b"".join(map(high_pieces.filter, cut(data, edges)))).astype(int)
    assert np.abs(joined - samples_of(high_whole.filter(data))).max(initial=0) <= 1  # float sums differ by order


def test_a_whole_utterance_keeps_its_duration() -> None:
    assert resample(tone(22050, 1000, 1.0), 8000).seconds == pytest.approx(1.0, abs=0.001)


def test_the_high_pass_takes_hum_away_and_leaves_voice() -> None:
    assert level_dbfs(HighPass(8000).filter(tone(8000, 50, 1.0).data)) < -45
    assert level_dbfs(HighPass(8000).filter(tone(8000, 500, 1.0).data)) == pytest.approx(-15, abs=0.5)


def test_what_was_skipped_still_counts_for_what_follows() -> None:
    filtered, skipping = HighPass(8000), HighPass(8000)
    first, second = tone(8000, 300, 0.1).data, tone(8000, 500, 0.1).data
    filtered.filter(first)
    skipping.skip(first)
    assert skipping.filter(second) == filtered.filter(second)


def test_levels() -> None:
    assert level_dbfs(b"") == SILENCE_DBFS
    assert level_dbfs(silence(8000, 0.1).data) == SILENCE_DBFS
    assert level_dbfs(tone(8000, 1000, 1.0, dbfs=0).data) == pytest.approx(-3, abs=0.1)


def test_noise_has_the_asked_for_distance_to_the_signal() -> None:
    voice = tone(8000, 700, 2.0)
    noise = samples_of(with_noise(voice, 20, seed=1).data).astype(float) - samples_of(voice.data)
    assert 10 * math.log10(np.mean(samples_of(voice.data).astype(float) ** 2) / np.mean(noise**2)) == pytest.approx(
        20, abs=0.5
    )


def test_a_written_file_reads_back() -> None:
    voice = tone(8000, 700, 0.1)
    assert read_wav(write_wav(voice)) == voice


def test_a_stereo_file_has_both_sides_and_the_longer_duration() -> None:
    content = write_stereo_wav(tone(8000, 700, 0.1), silence(16000, 0.3))
    mono = read_wav(content)
    assert mono.rate == 16000
    assert mono.seconds == pytest.approx(0.3)


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_files_false_size_is_not_believed(claimed: int) -> None:
    content = bytearray(write_wav(tone(8000, 700, 0.1)))
    content[40:44] = claimed.to_bytes(4, "little")
    assert read_wav(bytes(content)).seconds == pytest.approx(0.1)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"OggS" + bytes(60), write_wav(silence(8000, 0))[:36]])
def test_what_is_no_wav_is_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(WavError):
        read_wav(content)
