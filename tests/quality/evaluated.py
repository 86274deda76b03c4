"""Services of a process of their own, with the demo customers and models, and a few golden questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from tilores_core.host.plugin import scan
from tilores_core.quality.evaluation import Evaluator
from tilores_core.quality.questions.golden import GoldenSet
from tilores_core.quality.questions.make import MakeOptions, make_questions
from tilores_core.services import Services, load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.loader import validate_config
from tilores_plugins.sources.demo.source import DemoSource


@lru_cache(maxsize=1)
def golden() -> GoldenSet:
    """Three questions of each spectrum and split; made in a thread, as tests have a loop that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(
            asyncio.run, make_questions(DemoSource(), MakeOptions(customers=12, per_spectrum=3))
        ).result()


@asynccontextmanager
async def opened(folder: Path, config: Mapping[str, Any] | None = None, **plan: Any) -> AsyncIterator[Services]:
    path = Path("plugins.toml")
    loaded = LoadedConfig(config=validate_config(config or {}, path), path=path, packaged=False)
    environment = load_environment(None, data_dir=folder)
    host = load_host(environment, loaded=loaded, **{"discovered": list(scan()), **plan})
    async with open_services(host, environment) as services:
        yield services


def evaluator(services: Services, **options: Any) -> Evaluator:
    return Evaluator(engine=services.engine, source=services.source, store=services.store, **options)
