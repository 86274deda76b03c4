"""What may leave the machine or be read by others: files of the data folder, keys, automatic traces."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.cli.command import Command
from tests.e2e.running_server import TILORES, RunningServer, clean_environment
from tests.host.throwaway_plugins import Site
from tests.redis_server import redis_binaries
from tests.tracing.langsmith_server import KEY, LangSmithServer
from tilores_core.testing.waiting import wait_until

QUESTION = {"input": "What is the credit score of Edwina Hawthorne?"}

# --- the data folder ------------------------------------------------------------------------------------------


def test_data_folder_after_use_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    """A batch, the store, the embedded Redis where there is one, and the keys."""
    with RunningServer(tmp_path / "server", worker=True) as server:
        with httpx.Client(base_url=server.url, headers=server.admin, timeout=30) as http:
            if redis_binaries():
                wait_until(
                    lambda: http.get("/admin/cache").json()["tiers"]["l2"]["breaker"] == "closed", "no second tier"
                )
            http.post("/chat/invoke", json=QUESTION).raise_for_status()
            line = json.dumps({"id": "1", "customer_id": "EDW_HAWTHORNE_001"}).encode()
            headers = {"Content-Type": "application/x-ndjson"}
            job = http.post("/admin/batch", content=line, headers=headers).raise_for_status().json()["id"]
            wait_until(lambda: http.get(f"/admin/batch/{job}").json()["ended"], "the batch does not end")
        data = server.folder / "data"
        found = {path: path.lstat().st_mode for path in (data, *data.rglob("*")) if not path.is_symlink()}
        names = {path.name for path in found}
        assert {"admin.key", "batch", "out.jsonl"} <= names
        assert any(name.endswith((".sqlite", ".sqlite3", ".db")) for name in names), names
        assert not redis_binaries() or "redis" in names
        assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


# --- addresses from a folder's .env ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_file", "in_environment", "warns"),
    [
        ({"OPENAI_BASE_URL": "https://elsewhere.example"}, {"OPENAI_API_KEY": "sk-environment"}, True),
        ({"OPENAI_BASE_URL": "https://elsewhere.example", "OPENAI_API_KEY": "sk-file"}, {}, False),
        ({}, {"OPENAI_BASE_URL": "https://elsewhere.example", "OPENAI_API_KEY": "sk-environment"}, False),
        ({"OPENAI_BASE_URL": "https://elsewhere.example"}, {}, False),
        ({"OPENAI_BASE_URL": "https://elsewhere.example"}, {"GROQ_API_KEY": "gsk-environment"}, False),
    ],
)
def test_address_from_env_file_for_a_key_of_the_environment_is_warned_of(
    tmp_path: Path, in_file: dict[str, str], in_environment: dict[str, str], warns: bool
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    tilores = Command(folder)
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in in_file.items()))
    tilores.variables.update(in_environment)
    done = tilores.run("ask", QUESTION["input"])
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert ("OPENAI_API_KEY of the environment to the address that OPENAI_BASE_URL gives in .env" in said) == warns
    assert "sk-environment" not in said


# --- automatic tracing ----------------------------------------------------------------------------------------

PROVIDER = """
from tilores_core import LLMProviderSpec, ModelInfo, hookimpl


def build(context):
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.runnables import RunnableLambda

    class Chain(BaseChatModel):
        # A model that asks others through LangChain, as a plugin may: each of these calls traces itself.
        async def _agenerate(self, messages, stop=None, run_manager=None, **named):
            said = await RunnableLambda(lambda text: f"Inner chain: {text}").ainvoke(messages[-1].content)
            ended = {"finish_reason": "stop"}
            message = AIMessage(content=said, response_metadata=ended)
            return ChatResult(generations=[ChatGeneration(message=message, generation_info=ended)])

        def _generate(self, *arguments, **named):
            raise NotImplementedError

        @property
        def _llm_type(self):
            return "chain"

    class Provider:
        def models(self):
            return (ModelInfo(id="chain"),)

        def chat_model(self, model, parameters):
            return Chain()

        def map_error(self, error):
            return error

        async def aclose(self):
            pass

    return Provider()


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(name="chain", factory=build)]
"""
TOML = '[use]\ncache = ["memory"]\nmodel = "chain:chain"\ntracers = [{tracers}]\n[tracing]\nlinger_seconds = 0.01\n'


def ask_through_langchain(folder: Path, langsmith: LangSmithServer, tracers: str) -> str:
    """A question to a server whose environment asks LangChain to trace everything; the answer's text."""
    plugins = folder / "plugins"
    plugins.mkdir()
    Site(plugins).install("chain", PROVIDER, target="chain_models")
    variables = {
        "PYTHONPATH": str(plugins),
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_TRACING_V2": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGCHAIN_TRACING": "true",
        "LANGCHAIN_HANDLER": "langchain",
        "LANGCHAIN_CALLBACKS_BACKGROUND": "false",
        "LANGSMITH_API_KEY": KEY,
        "LANGSMITH_ENDPOINT": langsmith.url,
        "LANGCHAIN_ENDPOINT": langsmith.url,
        "LANGCHAIN_API_KEY": KEY,
    }
    with RunningServer(folder / "server", toml=TOML.format(tracers=tracers), variables=variables) as server:
        reply = httpx.post(f"{server.chat}/invoke", json=QUESTION, timeout=30)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["output"]["content"])


def test_langchain_traces_nothing_without_the_tracer_plugin_whatever_the_environment_says(tmp_path: Path) -> None:
    with LangSmithServer() as langsmith:
        assert "Inner chain" in ask_through_langchain(tmp_path, langsmith, "")
        assert langsmith.requests == []
        assert langsmith.runs == {}


def test_turn_is_traced_once_with_the_tracer_plugin(tmp_path: Path) -> None:
    with LangSmithServer() as langsmith:
        ask_through_langchain(tmp_path, langsmith, '"langsmith"')
        wait_until(lambda: langsmith.roots, "no trace arrived")
        assert len(langsmith.roots) == 1
        assert "Inner chain" not in langsmith.everything  # [tracing] capture = "none" holds
        assert not [run for run in langsmith.runs.values() if "Lambda" in run["name"]]


def test_langchain_would_trace_this_without_the_switch(tmp_path: Path) -> None:
    """What the tests above rely on: the same call, outside of tilores, is sent."""
    program = "from langchain_core.runnables import RunnableLambda\nRunnableLambda(lambda text: text).invoke('it')\n"
    with LangSmithServer() as langsmith:
        variables = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
        command = [str(TILORES.parent / "python"), "-c", f"{program}input()"]
        environment = clean_environment(**variables)
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            wait_until(lambda: langsmith.requests, "LangChain sent nothing")
            process.kill()
