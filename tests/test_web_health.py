"""/livez, /readyz and /metrics by themselves: what they answer and to whom. No sockets."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from voiceagent.config import ConfigErrors, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.journal import Journal, WorkerRestarted
from voiceagent.observe.lateness import LatenessWindow
from voiceagent.pbx.clock import ClockStats
from voiceagent.providers.embedded import EmbeddedOptions, EspeakTextToSpeech, SphinxSpeechToText
from voiceagent.providers.embedded.worker import DEFAULT_LIMITS, Worker
from voiceagent.web.health import Check, CheckResult, health_app
from voiceagent.web.service import frames_are_in_time

TOKEN = "of-the-tests"  # noqa: S105 - guards nothing


def good() -> CheckResult:
    return CheckResult(ok=True, detail="fine")


def bad() -> CheckResult:
    return CheckResult(ok=False, detail="it has burnt down")


def application(alive: Check = good, ready: Mapping[str, Check] | None = None, token: str = "") -> ASGIApp:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc()
    return health_app(alive=alive, ready=lambda: ready or {}, registry=registry, token=token)


async def ask(app: ASGIApp, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://health") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(("alive", "status", "text"), [(good, 200, "fine\n"), (bad, 503, "it has burnt down\n")])
async def test_it_lives_as_long_as_it_says_so(alive: Check, status: int, text: str) -> None:
    answer = await ask(application(alive=alive), "/livez")
    assert (answer.status_code, answer.text) == (status, text)


@pytest.mark.parametrize(("other", "status"), [(good, 200), (bad, 503)])
async def test_it_is_ready_when_every_part_is_and_tells_of_each(other: Check, status: int) -> None:
    answer = await ask(application(ready={"roof": good, "cellar": other}), "/readyz")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "roof": {"ok": True, "detail": "fine"},
        "cellar": {"ok": status == 200, "detail": other().detail},
    }


async def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    answer = await ask(application(), "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    (things,) = (family for family in text_string_to_metric_families(answer.text) if family.name == "things")
    assert things.samples[0].value == 1
    answer = await ask(application(), "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/", "/livez/", "/nothing", "/metrics/x"])
async def test_there_is_nothing_else(path: str) -> None:
    assert (await ask(application(), path)).status_code == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_nothing_can_be_done_to_it(path: str, method: str) -> None:
    answer = await ask(application(), path, method)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_head_is_get_without_the_rest(path: str) -> None:
    answer = await ask(application(), path, "HEAD")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == (await ask(application(), path)).headers["content-type"]


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/nothing"])
@pytest.mark.parametrize(
    "said", [{}, {"authorization": "Bearer"}, {"authorization": "Bearer of-the-tesst"}, {"authorization": "ø"}]
)
async def test_without_the_token_nothing_is_told(path: str, said: dict[str, str]) -> None:
    app = application(ready={"roof": good}, token=TOKEN)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in said.items()]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://health") as client:
        answer = await client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "roof" not in answer.text


@pytest.mark.parametrize(("path", "status"), [("/readyz", 200), ("/metrics", 200), ("/nothing", 404)])
async def test_with_the_token_everything_is_as_without_one(path: str, status: int) -> None:
    answer = await ask(application(token=TOKEN), path, authorization=f"Bearer {TOKEN}")
    assert answer.status_code == status


async def test_whether_it_lives_needs_no_token() -> None:
    assert (await ask(application(token=TOKEN), "/livez")).status_code == 200


@pytest.mark.parametrize(
    ("frames", "late", "ok", "detail"),
    [
        (0, 0, True, "99 % of 0 frames at most 0.00 ms late"),
        (99, 1, True, "99 % of 100 frames at most 0.25 ms late"),
        (98, 2, False, "99 % of 100 frames at most 30.25 ms late"),
    ],
)
def test_frames_are_in_time_as_long_as_one_in_a_hundred_is_not(frames: int, late: int, ok: bool, detail: str) -> None:
    stats = ClockStats()
    window = LatenessWindow(stats)
    for lateness in [0.0] * frames + [0.03] * late:
        stats.add(lateness)
    assert frames_are_in_time(window) == CheckResult(ok, detail)


def test_a_worker_that_does_not_run_is_trouble() -> None:
    journal: Journal = list[WorkerRestarted]().append  # type: ignore[assignment]
    worker = Worker("embedded", ["no such program"], journal=journal, limits=DEFAULT_LIMITS)
    assert SphinxSpeechToText((worker,)).trouble == "embedded: no recogniser runs"
    assert EspeakTextToSpeech(worker, EmbeddedOptions()).trouble == "embedded: the synthesis does not run"


@pytest.mark.parametrize("listen", ["0.0.0.0:9093", "[::]:9093", "10.0.0.1:0", "example.org:9093"])
def test_beyond_loopback_a_token_is_needed(listen: str) -> None:
    with pytest.raises(ConfigErrors, match=r"http\.token: expected a token, as http\.listen is no loopback address"):
        load_config(DEFAULT_FILE, [f"http.listen={listen}"], {})
    assert load_config(DEFAULT_FILE, [f"http.listen={listen}", f"http.token={TOKEN}"], {}).http.token


@pytest.mark.parametrize("listen", ["", "127.0.0.1:0", "127.8.0.1:9093", "[::1]:9093", "localhost:9093"])
def test_on_loopback_none_is_needed(listen: str) -> None:
    assert load_config(DEFAULT_FILE, [f"http.listen={listen}"], {}).http.listen == listen


def test_an_address_that_is_none_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_config(DEFAULT_FILE, ["http.listen=everywhere"], {})
    assert len(caught.value.lines) == 1
