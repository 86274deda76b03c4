"""Write each provider's models.json from what the installed packages say of its models.

    python tools/model_data.py            # write the files
    python tools/model_data.py --check    # exit code 1 and the names of those that would change

Windows, abilities and dates are langchain's model profiles (from models.dev, MIT licence), prices those of
genai-prices, both as installed: nothing is fetched. A rule chooses the models: current ones that write text and
call tools, with a known price, the newest first; what is left out by name is said in `PROVIDERS`. OpenRouter has no
profiles here: its list is what the others list and it offers too, with its own prices and windows.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PLUGINS = Path(__file__).parents[1] / "plugins" / "tilores_plugins" / "providers"
# Prices change by date and hour; the file must not change with the day on which it is written.
PRICES_AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
VERSION = re.compile(r"(?<=\d)-(?=\d+$)")
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|\d{4})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a provider's models come from.

    `leave_out`: names that are no chat models or not for conversations; `keep`: listed whatever the rule says.
    `json_object`: its API can be held to JSON without a schema. `schema_unsaid`: it can be held to a schema where the
    profile does not say. `fixed`: what a model that reasons refuses; `sampling`: what a model refuses whose profile
    says that it takes no temperature.
    """

    package: str
    prices: str
    leave_out: str
    keep: tuple[str, ...] = ()
    most: int = 12
    json_object: bool = True
    schema_unsaid: bool = False
    fixed: tuple[str, ...] = ()
    sampling: tuple[str, ...] = ("temperature", "top_p")


PROVIDERS = {
    "openai": Source(
        package="langchain_openai",
        prices="openai",
        leave_out=r"codex|-pro\b|chat-latest|daybreak|realtime|image",
        keep=("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini"),
        fixed=("stop", "presence_penalty", "frequency_penalty", "logit_bias"),
    ),
    "anthropic": Source(package="langchain_anthropic", prices="anthropic", leave_out=r"mythos", json_object=False),
    "google": Source(
        package="langchain_google_genai",
        prices="google",
        leave_out=r"preview|image|live|tts|computer-use|deep-research|gemma|latest|omni|lyria|veo",
        keep=("gemini-3.1-pro-preview",),
    ),
    "groq": Source(package="langchain_groq", prices="groq", leave_out=r"guard|compound|allam|orpheus|whisper"),
    "mistral": Source(
        package="langchain_mistralai",
        prices="mistral",
        leave_out=r"^open-|codestral|pixtral|nemo|embed",
        schema_unsaid=True,
    ),
    "deepseek": Source(package="langchain_deepseek", prices="deepseek", leave_out=r"-exp$"),
}
# How OpenRouter calls those whose models are listed above.
MAKERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "mistral": "mistralai",
    "deepseek": "deepseek",
}
OPENROUTER_MOST_OF_ONE = 6

Entry = dict[str, Any]


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    if arguments and not check:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    changed = []
    for provider, text in documents().items():
        path = PLUGINS / provider / "models.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(provider)
            if not check:
                path.write_text(text, encoding="utf-8")
    sys.stdout.write("\n".join(changed or ["nothing to change"]) + "\n")
    return 1 if check and changed else 0


def documents() -> dict[str, str]:
    """The text of every models.json, by provider."""
    chosen = {provider: models_of(source) for provider, source in PROVIDERS.items()}
    found = {
        provider: document(entries, origin(source.package))
        for (provider, entries), source in zip(chosen.items(), PROVIDERS.values(), strict=True)
    }
    return {**found, "openrouter": document(openrouter_models(chosen), "profiles of the makers")}


def missing_packages() -> list[str]:
    """What must be installed for this and is not."""
    names = ["genai_prices", *(source.package for source in PROVIDERS.values())]
    return [name for name in names if find_spec(name) is None]


# --- choosing --------------------------------------------------------------------------------------------


def models_of(source: Source) -> list[Entry]:
    """The newest first."""
    known = profiles(source.package)
    fit = {
        name: profile for name, profile in known.items() if name in source.keep or is_current(name, profile, source)
    }
    entries = [
        entry(name, profile, source) for name, profile in fit.items() if not (older_than_its_latest(name, fit))
    ]
    priced = [item for item in entries if "input_price" in item]
    newest = sorted(priced, key=lambda item: (-item["created"], item["id"]))
    kept = [item for item in newest if item["id"] in source.keep]
    others = [item for item in newest if item["id"] not in source.keep][: max(source.most, 0)]
    return sorted([*others, *kept], key=lambda item: (-item["created"], item["id"]))


def is_current(name: str, profile: Mapping[str, Any], source: Source) -> bool:
    makes = [profile.get(f"{kind}_outputs") for kind in ("image", "audio", "video")]
    return (
        not re.search(source.leave_out, name)
        and profile.get("status") is None
        and bool(profile.get("release_date") and profile.get("text_outputs") and profile.get("tool_calling"))
        and not any(makes)
    )


def older_than_its_latest(name: str, names: Iterable[str]) -> bool:
    base = DATED.sub("", name)
    return base != name and (base in names or f"{base}-latest" in names)


# --- one model -------------------------------------------------------------------------------------------


def entry(name: str, profile: Mapping[str, Any], source: Source) -> Entry:
    reasoning = bool(profile.get("reasoning_output"))
    schema = profile.get("structured_output")
    json_schema = source.schema_unsaid if schema is None else bool(schema)
    refuses = {
        *(source.sampling if profile.get("temperature") is False else ()),
        *(source.fixed if reasoning else ("reasoning_effort",)),
    }
    return {
        "id": name,
        "context_window": profile.get("max_input_tokens"),
        "max_output_tokens": profile.get("max_output_tokens"),
        **prices(name, source.prices),
        "vision": bool(profile.get("image_inputs")),
        "tools": bool(profile.get("tool_calling")),
        "json_output": source.json_object or json_schema,
        "json_schema": json_schema,
        "reasoning": reasoning,
        "refuses": sorted(refuses),
        "created": seconds(profile["release_date"]),
    }


def openrouter_models(chosen: Mapping[str, list[Entry]]) -> list[Entry]:
    from genai_prices.data_snapshot import get_snapshot

    offered = next(provider for provider in get_snapshot().providers if provider.id == "openrouter")
    windows = {model.id: model.context_window for model in offered.models}
    found = []
    for provider, maker in MAKERS.items():
        entries = [
            {
                **item,
                "id": name,
                "context_window": windows[name] or item["context_window"],
                **prices(name, "openrouter"),
            }
            for item in chosen[provider]
            if (name := openrouter_name(maker, item["id"], windows)) is not None
        ]
        found += entries[:OPENROUTER_MOST_OF_ONE]
    return sorted(found, key=lambda item: (-item["created"], item["id"]))


def openrouter_name(maker: str, name: str, offered: Iterable[str]) -> str | None:
    """OpenRouter's name of a maker's model: claude-opus-5-5 is claude-opus-5.5 there."""
    candidates = (f"{maker}/{name}", f"{maker}/{VERSION.sub('.', name)}")
    return next((candidate for candidate in candidates if candidate in offered), None)


def prices(name: str, provider: str) -> Entry:
    """US dollars per million tokens, of a short prompt; empty when not known."""
    from genai_prices import Usage, calc_price

    tokens = 1000
    try:
        price = calc_price(
            Usage(input_tokens=tokens, output_tokens=tokens),
            name,
            provider_id=provider,
            genai_request_timestamp=PRICES_AS_OF,
        )
    except LookupError:
        return {}
    scale = 1_000_000 // tokens
    return {"input_price": float(price.input_price * scale), "output_price": float(price.output_price * scale)}


def profiles(package: str) -> dict[str, dict[str, Any]]:
    """The package's profiles, without importing the package and its SDK."""
    spec = find_spec(package)
    assert spec is not None, package
    assert spec.origin is not None, package
    data = Path(spec.origin).parent / "data"
    found: dict[str, dict[str, Any]] = dict(runpy.run_path(str(data / "_profiles.py"))["_PROFILES"])
    return found


def seconds(date: str) -> int:
    """Of a date that may lack the day."""
    year, month, day = (*(int(part) for part in date.split("-")), 1, 1)[:3]
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


# --- the file --------------------------------------------------------------------------------------------


def document(entries: list[Entry], abilities: str) -> str:
    """One model a line, so that a change is seen at a glance."""
    source = f"{abilities}, {origin('genai_prices')}; written by tools/model_data.py"
    lines = ",\n".join(f"  {json.dumps(item)}" for item in entries)
    return f'{{"source": {json.dumps(source)},\n "models": [\n{lines}\n]}}\n'


def origin(package: str) -> str:
    distribution = package.replace("_", "-")
    return f"{distribution} {version(distribution)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
