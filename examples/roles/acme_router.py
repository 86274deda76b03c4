"""Routes under /plugins/acme-router: behind the chat key by default, one of them for administrators alone.

A larger plugin keeps its routes in a module of their own (`factory="acme.routes:build"`), so that commands need not
import FastAPI.
"""

from typing import Annotated

from fastapi import APIRouter, Depends

from tilores_core import Caller, PluginContext, RouterSpec, Turn, hookimpl


def build(context: PluginContext) -> APIRouter:
    router = APIRouter()
    administrator = Depends(context.services.require_key("admin"))

    @router.get("/balance/{customer_id}")
    async def balance(customer_id: str) -> dict[str, str]:
        question = {"role": "user", "content": "What is the balance?"}
        answer = await context.services.ask(Turn(messages=(question,), customer_id=customer_id))
        return {"answer": answer.text}

    @router.get("/settings")
    async def settings(caller: Annotated[Caller, administrator]) -> dict[str, str]:
        return {"asked_by": caller.name}

    return router


@hookimpl
def register_routers() -> list[RouterSpec]:
    return [RouterSpec(name="acme", factory=build, summary="a balance, and settings for administrators")]
