"""Health over HTTP: `/livez`, `/readyz` and `/metrics`. GET and HEAD only; bodies are not read.

What makes the service alive or ready is handed in as small functions, so that every part can bring its own.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from attrs import asdict, frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

#: Answered without a token: whoever restarts the service needs no secrets.
_OPEN: Final = ("/livez",)


@frozen
class CheckResult:
    """How one part of the service does. `detail` is for people: short, without secrets or anything about callers."""

    ok: bool
    detail: str


#: Looks, does not wait: it is called on every request.
Check: TypeAlias = Callable[[], CheckResult]


def health_app(
    *, alive: Check, ready: Callable[[], Mapping[str, Check]], registry: CollectorRegistry, token: str
) -> ASGIApp:
    """The application. `ready` says what to check for readiness. With a `token`, all but `/livez` ask for it.

    /livez: 200 or 503 and the detail. /readyz: 200 when every check is ok, else 503; {name: {"ok", "detail"}} either
    way. /metrics: what `registry` has, in Prometheus' format or OpenMetrics, as asked for.
    """

    async def livez(_: Request) -> Response:
        result = alive()
        return PlainTextResponse(f"{result.detail}\n", 200 if result.ok else 503)

    async def readyz(_: Request) -> Response:
        results = {name: check() for name, check in ready().items()}
        told = {name: asdict(result) for name, result in results.items()}
        return JSONResponse(told, 200 if all(result.ok for result in results.values()) else 503)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    app = Router(routes, redirect_slashes=False)
    return _WithToken(app, f"Bearer {token}".encode()) if token else app


@frozen
class _WithToken:
    """Lets those pass who send `Authorization: Bearer TOKEN`; the others learn nothing by how long it takes."""

    app: ASGIApp
    authorization: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = Headers(scope=scope).get("authorization", "").encode("latin-1")
        if scope["path"] in _OPEN or hmac.compare_digest(said, self.authorization):
            await self.app(scope, receive, send)
        else:
            refusal = PlainTextResponse("a token is needed\n", 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
