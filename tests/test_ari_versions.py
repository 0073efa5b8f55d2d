"""What an older Asterisk lacks, by its version."""

import pytest

from voiceagent.wire.ari.versions import shortcomings


@pytest.mark.parametrize("version", ["22.10.1+dfsg+~cs6.17.60671434-1", "23.4.0", "20.20.0", "24.0.0", "GIT-22.11"])
def test_what_this_was_tried_with_and_later_lacks_nothing(version: str) -> None:
    if version.startswith("GIT"):
        with pytest.raises(ValueError, match="is not a version"):
            list(shortcomings(version, "slin16"))
    else:
        assert list(shortcomings(version, "slin16")) == []


def test_each_older_minor_lacks_more() -> None:
    counts = [len(list(shortcomings(f"22.{minor}.0", "slin16"))) for minor in range(11)]
    assert counts == [5, 5, 5, 5, 4, 3, 3, 2, 2, 1, 0]


def test_wideband_is_nothing_to_those_who_do_not_use_it() -> None:
    assert any("slin" in each for each in shortcomings("22.6.0", "slin16"))
    assert not any("slin" in each for each in shortcomings("22.6.0", "slin"))


def test_a_major_version_that_never_got_it_lacks_it() -> None:
    assert len(list(shortcomings("21.99.0", "slin16"))) == 2
    assert len(list(shortcomings("18.26.0", "slin16"))) == 5
    assert list(shortcomings("16.28.0", "slin16")) == ["it has no AudioSocket"]
