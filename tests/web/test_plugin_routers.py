"""Routes of plugins: behind the chat key unless their spec says `public=True`, and what a route may require."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site

PLUGIN = """
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from tilores_core import Caller, RouterSpec, hookimpl
from tilores_core.web.auth import require_key


class Note(BaseModel):
    text: str


def keyed(context):
    routes = APIRouter()

    @routes.get("/who")
    def who(caller: Annotated[Caller, Depends(require_key("chat"))]) -> str:
        return caller.name

    @routes.post("/note")
    def note(body: Note) -> str:
        return body.text

    @routes.get("/hook/{name}")
    def hidden(name: str) -> str:
        return "the keyed router's"

    async def raw(request):
        return PlainTextResponse("raw")

    routes.add_route("/raw", raw, ["GET"])
    return routes


def public(context):
    routes = APIRouter()

    @routes.post("/hook/{name}")
    def hook(name: str) -> str:
        return name

    @routes.get("/settings")
    def settings(caller: Annotated[Caller, Depends(require_key("admin"))]) -> str:
        return caller.name

    return routes


@hookimpl
def register_routers():
    return [RouterSpec(name="keyed", factory=keyed), RouterSpec(name="public", factory=public, public=True)]
"""
KEYS = {"TILORES_API_KEYS": "desk:desk-secret", "TILORES_ADMIN_KEYS": "root:root-secret"}
DESK = {"Authorization": "Bearer desk-secret"}
ROOT = {"Authorization": "Bearer root-secret"}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("routers")
    plugins = folder / "plugins"
    plugins.mkdir()
    Site(plugins).install("acme", PLUGIN, target="acme_routes")
    variables = {**KEYS, "PYTHONPATH": str(plugins)}
    with (
        RunningServer(Path(folder / "server"), variables=variables) as server,
        httpx.Client(base_url=f"{server.url}/plugins/acme", timeout=30) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/who"),
        ("POST", "/note"),
        ("GET", "/raw"),
        ("HEAD", "/raw"),
        ("GET", "/hook/x"),
        ("OPTIONS", "/raw"),
        ("GET", "/raw/"),
        ("GET", "/nowhere"),
    ],
)
def test_plugin_route_without_key_is_refused(routes: httpx.Client, method: str, path: str) -> None:
    for headers in ({}, ROOT, {"Authorization": "Bearer wrong"}):
        reply = routes.request(method, path, headers=headers)
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert reply.headers["x-request-id"]
    assert method == "HEAD" or set(routes.request(method, path).json()) == {"detail", "fix"}


def test_plugin_route_with_chat_key_is_served(routes: httpx.Client) -> None:
    assert routes.get("/who", headers=DESK).json() == "desk"
    assert routes.get("/raw", headers=DESK).text == "raw"
    assert routes.get("/hook/x", headers=DESK).json() == "the keyed router's"
    assert routes.post("/note", headers=DESK, json={"text": "noted"}).json() == "noted"


def test_plugin_route_without_key_is_refused_before_its_body_is_validated(routes: httpx.Client) -> None:
    assert routes.post("/note", content=b"{").status_code == 401
    assert routes.post("/note", content=b"{", headers=DESK).status_code == 422


def test_public_router_is_served_without_key(routes: httpx.Client) -> None:
    assert routes.post("/hook/call").json() == "call"


def test_public_router_may_require_an_admin_key(routes: httpx.Client) -> None:
    assert routes.get("/settings").status_code == 401
    assert routes.get("/settings", headers=DESK).status_code == 401
    assert routes.get("/settings", headers=ROOT).json() == "root"


def test_openapi_names_the_key_that_a_plugin_route_needs(routes: httpx.Client) -> None:
    paths = httpx.get(f"{routes.base_url.copy_with(path='/')}openapi.json", timeout=30).json()["paths"]
    assert paths["/plugins/acme/who"]["get"]["security"] == [{"chatKey": []}]
    assert paths["/plugins/acme/hook/{name}"]["post"]["security"] == []
    assert paths["/plugins/acme/hook/{name}"]["get"]["security"] == [{"chatKey": []}]
