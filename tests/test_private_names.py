"""Canaries for the private names of libraries that this program uses: what broke, where, and what to do.

A private name may change with any release of its library. Each one is in `CANARIES`, and the last test finds a use
without a canary and a canary without a use.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

import pytest

import tilores_core
import tilores_plugins

PUBLIC_CALLS = "call the model by its public `ainvoke` and `astream` instead, which costs 0.25 ms of CPU a call"
OWN_WIRE = "take the name that LangChain has for it now, or build the request from its public `model_dump`"
MALFORMED = "find what reads a reply now; without the check a malformed reply is an error without a class"
SHARED_CLIENT = "find where LangChain makes its clients now; without it every model opens connections of its own"
CLEANUP = "find what closes a model's client now: ours is shared, and the provider closes it"
REDIS = "ask through redis-py's own connection: half as many look-ups a second, and nothing else changes"
AIOHTTP = "post through a `ClientSession`: 0.1 ms of CPU more a call, and nothing else changes"
REPLIES = "leave replies and connections that wait to uvicorn: a cached reply takes a tenth longer"
UVICORN = "supervise the workers ourselves: a second signal ends them at once, a failed start is an exit code"
END_REASON = "find what makes chunks now; without it the reason why an answer ended has other words than backend"


@dataclass(frozen=True, slots=True)
class Canary:
    """`owner`: "module:Class", with "()" behind it an object made of it. `user`: the module of ours. `takes`: the
    parameters with which we call it, or that we take in its place."""

    user: str
    owner: str
    name: str
    remedy: str
    takes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.owner.rpartition(':')[2] or self.owner}.{self.name}"


def of(user: str, owner: str, names: Mapping[str, str | tuple[str, str]]) -> list[Canary]:
    """The value of a name: the remedy, and what it takes, as words."""
    pairs = {name: value if isinstance(value, tuple) else (value, "") for name, value in names.items()}
    return [Canary(user, owner, name, remedy, tuple(takes.split())) for name, (remedy, takes) in pairs.items()]


CALL = "messages stop run_manager"
CANARIES = [
    *of(
        "tilores_core.chat.langchain_adapter",
        "langchain_core.language_models:BaseChatModel",
        {
            "_agenerate": (PUBLIC_CALLS, CALL),
            "_astream": (PUBLIC_CALLS, CALL),
            "_stream": ("find out by a call of `astream` whether a model says its answer in pieces", CALL),
        },
    ),
    *of(
        "tilores_plugins.providers.anthropic.model",
        "langchain_anthropic:ChatAnthropic",
        {
            "_client": SHARED_CLIENT,
            "_async_client": SHARED_CLIENT,
            "_get_request_payload": ("mark the system message for Anthropic's cache before LangChain", "input_ stop"),
            "_convert_input": "check the addresses of images before the messages reach LangChain",
            "_format_output": (MALFORMED, "data"),
            "_make_message_chunk_from_anthropic_event": (END_REASON, "event"),
            "_astream": (END_REASON, "messages"),
        },
    ),
    *of(
        "tilores_plugins.providers.anthropic.model",
        "anthropic:AsyncAnthropic",
        {"_make_sse_decoder": "find what reads events now; without it events that do not repeat their type are lost"},
    ),
    *of(
        "tilores_plugins.providers.google.model",
        "langchain_google_genai:ChatGoogleGenerativeAI",
        {
            "_prepare_request": ("bind tools by the public `bind`, and check images before LangChain", "messages"),
            "_generate": (MALFORMED, "messages"),
            "_agenerate": (MALFORMED, "messages"),
            "_astream": (END_REASON, "messages"),
            "_client_cleanup": CLEANUP,
        },
    ),
    *of(
        "tilores_plugins.providers.google.model",
        "langchain_google_genai.chat_models",
        {"_ClientCleanup": CLEANUP},
    ),
    *of(
        "tilores_plugins.providers.ollama.model",
        "langchain_ollama:ChatOllama",
        {
            "_client": SHARED_CLIENT,
            "_async_client": SHARED_CLIENT,
            "_set_clients": SHARED_CLIENT,
            "_chat_params": (OWN_WIRE, "messages stop"),
            "_convert_messages_to_ollama_messages": (
                "give Ollama's SDK the messages ourselves: a string as an image is the path of a file that it sends",
                "messages",
            ),
        },
    ),
    *of(
        "tilores_plugins.providers.ollama.model",
        "ollama:AsyncClient",
        {"_request": "give the SDK's request the tools as they are: its types leave out `anyOf` and `$ref`"},
    ),
    *of("tilores_plugins.providers.ollama.provider", "ollama:Client()", {"_client": SHARED_CLIENT}),
    *of("tilores_plugins.providers.ollama.provider", "ollama:AsyncClient()", {"_client": SHARED_CLIENT}),
    *of(
        "tilores_plugins.cache.redis.link",
        "redis.asyncio:Connection()",
        {"_reader": REDIS, "_writer": REDIS},
    ),
    # Without an underscore, but in no documentation of aiohttp's or uvicorn's.
    *of("tilores_core.llm.http_address", "aiohttp", {"ClientRequest": (AIOHTTP, "method url headers loop proxy")}),
    *of("tilores_core.llm.http_address", "aiohttp:TCPConnector", {"connect": (AIOHTTP, "req traces timeout")}),
    *of(
        "tilores_core.llm.http_connection",
        "aiohttp.http:HttpResponseParser",
        {"feed_data": (AIOHTTP, "incoming_data"), "feed_eof": AIOHTTP},
    ),
    *of(
        "tilores_core.llm.http_connection",
        "aiohttp.base_protocol:BaseProtocol",
        {"_loop": AIOHTTP, "_reading_paused": AIOHTTP, "resume_reading": (AIOHTTP, "resume_parser")},
    ),
    *of(
        "tilores_core.web.server",
        "uvicorn.supervisors:Multiprocess",
        {"join_all": UVICORN, "run": UVICORN},
    ),
    *of(
        "tilores_core.web.server",
        "uvicorn.protocols.http.httptools_impl",
        {
            "RequestResponseCycle": (
                REPLIES,
                "scope transport flow default_headers message_event keep_alive on_response",
            )
        },
    ),
    *of(
        "tilores_core.web.server",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
        {"_start_asgi_task": (REPLIES, "cycle app"), "on_response_complete": REPLIES},
    ),
]

# LangChain documents these as what a chat model has to define.
DOCUMENTED = {"_generate", "_agenerate", "_stream", "_astream", "_llm_type", "_identifying_params", "_get_ls_params"}
# Public in spite of the underscore, or of our own objects.
NOT_PRIVATE = {"_exit", "_replace", "_asdict", "_fields", "_mapping"}
OWN = {("tilores_core.host.host", "_check"), ("tilores_core.jobs.prewarm.plan", "_set_values")}


@pytest.mark.parametrize("canary", CANARIES, ids=str)
def test_private_name_of_a_library_is_as_it_was(canary: Canary) -> None:
    module, _, name = canary.owner.partition(":")
    owner = importlib.import_module(module)
    if name:
        owner = getattr(owner, name.removesuffix("()"))
    if name.endswith("()"):
        owner = owner()  # type: ignore[operator]
    broken = f"{canary} is not what it was, and {canary.user} uses it. Remedy: {canary.remedy}."
    assert hasattr(owner, canary.name) or canary.name in getattr(owner, "__private_attributes__", {}), broken
    if canary.takes:
        parameters = inspect.signature(getattr(owner, canary.name)).parameters
        assert set(canary.takes) <= set(parameters), f"{broken} It takes {', '.join(parameters)}."


def test_every_use_of_a_private_name_has_a_canary() -> None:
    declared = {(canary.user, canary.name) for canary in CANARIES if canary.name.startswith("_")}
    found = {use for module in _modules() for use in _uses(module)} - OWN
    assert sorted(found - declared) == [], "add a canary that says what to do when the name changes"
    assert sorted(declared - found) == [], "these are used no longer: remove their canaries"


def _modules() -> Iterator[ModuleType]:
    for package in (tilores_core, tilores_plugins):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not re.search(r"\.(migrations|testing|__main__)", found.name):
                yield importlib.import_module(found.name)


def _uses(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Private names that a module asks of what is not its own object, imports, or defines again in a subclass."""
    tree = ast.parse(inspect.getsource(module) or "pass")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if ast.unparse(node.value) not in {"self", "cls", "super()"}:
                yield module.__name__, node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("tilores"):
            yield from ((module.__name__, name.name) for name in node.names if _is_private(name.name))
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            yield from _inherited(kind)


def _inherited(kind: type) -> Iterator[tuple[str, str]]:
    ours = [base for base in kind.__mro__ if base.__module__.startswith("tilores")]
    theirs = [base for base in kind.__mro__ if base not in ours and base is not object]
    if not theirs:
        return
    documented = DOCUMENTED if theirs[0].__module__.startswith("langchain_core.") else set()
    for own in ours:
        for name in _names_in(own) - documented:
            if any(name in vars(base) or name in vars(base).get("__private_attributes__", {}) for base in theirs):
                yield own.__module__, name


def _names_in(kind: type) -> set[str]:
    """What the class defines, and what it asks of itself."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind)))))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "cls"}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in names if _is_private(name)}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NOT_PRIVATE
