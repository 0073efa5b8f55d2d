"""A service that is watched over HTTP while it takes calls."""

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from attrs import define
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import calling, serving
from voiceagent.app import Service, StartError, open_service
from voiceagent.config import load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.lab.caller import open_caller
from voiceagent.lab.emptiness import nothing_left_behind

#: A test that takes longer has failed.
PATIENCE_S = 60.0
ECHO = ("audiosocket.agent=echo", "audiosocket.listen=127.0.0.1:0", "http.listen=127.0.0.1:0")


@define
class Watched:
    """A service and someone who asks it how it does."""

    service: Service
    client: httpx.AsyncClient

    async def ask(self, path: str) -> httpx.Response:
        assert self.service.http_address is not None
        host, port = self.service.http_address
        return await self.client.get(f"http://{host}:{port}{path}")

    async def has_begun(self) -> None:
        """Until there is a call."""
        while not self.service.calls:
            await trio.lowlevel.checkpoint()

    async def readiness(self) -> tuple[int, dict[str, bool]]:
        """The status, and for each check whether it is ok."""
        answer = await self.ask("/readyz")
        return answer.status_code, {name: check["ok"] for name, check in answer.json().items()}

    async def metrics(self) -> dict[tuple[str, str], float]:
        """By name and the value of the last label, "" without one."""
        families = text_string_to_metric_families((await self.ask("/metrics")).text)
        samples = (sample for family in families for sample in family.samples)
        return {(each.name, next(reversed(each.labels.values()), "")): each.value for each in samples}


@asynccontextmanager
async def watching(*overrides: str) -> AsyncIterator[Watched]:
    config = load_config(DEFAULT_FILE, [*ECHO, *overrides], {})
    with trio.fail_after(PATIENCE_S):
        async with nothing_left_behind(within=1.5), httpx.AsyncClient() as client, open_service(config) as service:
            yield Watched(service, client)


async def test_a_live_call_is_seen_and_what_became_of_it() -> None:
    async with watching() as watched:
        before = await watched.metrics()
        assert ("voiceagent_calls_live", "echo") not in before
        async with open_caller(*watched.service.address) as caller:
            await watched.has_begun()
            assert (await watched.ask("/livez")).status_code == 200
            during = await watched.metrics()
            assert during["voiceagent_calls_live", "echo"] == 1
            assert during["voiceagent_calls_started_total", "echo"] == 1
            while not (await watched.metrics())["voiceagent_frames_sent_total", ""]:
                pass
            caller.hang_up("eof")
            while watched.service.calls:
                await trio.lowlevel.checkpoint()
        after = await watched.metrics()
        assert after["voiceagent_calls_live", "echo"] == 0
        assert after["voiceagent_calls_total", "caller hung up"] == 1


async def test_it_is_ready_and_no_longer_when_it_drains_and_answers_to_the_end() -> None:
    async with watching() as watched, open_caller(*watched.service.address) as caller:
        await watched.has_begun()
        _, checks = await watched.readiness()
        assert set(checks) == {"listener", "draining", "workers", "frames"}
        assert checks["listener"]
        assert checks["draining"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.service.drain)
            while not watched.service.draining:
                await trio.lowlevel.checkpoint()
            status, checks = await watched.readiness()
            assert status == 503
            assert not checks["draining"]
            assert (await watched.ask("/livez")).status_code == 200
            assert (await watched.metrics())["voiceagent_calls_live", "echo"] == 1
            caller.hang_up("eof")


async def test_refused_connections_are_counted_by_reason() -> None:
    async with watching("audiosocket.allow=[]") as watched:
        async with await trio.open_tcp_stream(*watched.service.address) as stream:
            while await stream.receive_some():
                pass
        assert (await watched.metrics())["voiceagent_connections_refused_total", "peer not allowed"] == 1


async def test_a_service_without_a_listener_is_not_asked_for_one() -> None:
    async with watching("audiosocket.listen=") as watched:
        assert await watched.readiness() == (200, {"draining": True, "workers": True, "frames": True})


async def test_several_services_count_apart() -> None:
    async with watching() as one:
        assert await one.metrics()  # all of it runs, and is not taken for a leftover of the other one
        async with watching() as other, open_caller(*one.service.address):
            await one.has_begun()
            assert ("voiceagent_calls_live", "echo") in await one.metrics()
            assert ("voiceagent_calls_live", "echo") not in await other.metrics()


async def test_the_token_of_the_configuration_is_asked_for() -> None:
    async with watching("http.token=secret") as watched:
        assert (await watched.ask("/readyz")).status_code == 401
        watched.client.headers["authorization"] = "Bearer secret"
        assert (await watched.ask("/readyz")).status_code == 200


async def test_without_an_address_there_is_no_http() -> None:
    async with watching("http.listen=") as watched:
        assert watched.service.http_address is None


async def test_a_port_in_use_is_named_and_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match=f"cannot listen for HTTP on {address}: Address already in use"):
            async with watching(f"http.listen={address}"):
                pytest.fail("it started")


async def test_an_error_of_the_embedding_program_ends_it_all() -> None:
    async def run() -> None:
        async with watching() as watched:
            assert (await watched.ask("/livez")).status_code == 200
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await run()


async def test_serve_says_where_it_is_and_answers_while_it_drains(tmp_path: Path) -> None:
    settings = [text for override in ECHO for text in ("--set", override)]
    async with serving(*settings, cwd=tmp_path) as service, httpx.AsyncClient() as client:
        base = f"http://{service.ready.partition(', HTTP on ')[2]}"
        assert (await client.get(f"{base}/livez")).status_code == 200
        async with calling(service):
            service.process.send_signal(signal.SIGTERM)
            await service.wait_logged("service-stopping")
            assert (await client.get(f"{base}/readyz")).json()["draining"]["ok"] is False
        assert await service.wait_stopped() == 0
