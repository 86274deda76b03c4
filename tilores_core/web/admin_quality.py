"""`/admin/quality`: live quality by model, spectrum and prompt version."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tilores_core.quality.overview import quality_overview
from tilores_core.settings import QualityTable
from tilores_core.store.lazy import LazyStore
from tilores_core.web.admin import admin_router
from tilores_core.web.problems import WITH_BODY


def quality_routes(store: LazyStore, table: QualityTable) -> APIRouter:
    """For admin keys."""
    router = admin_router("/admin", WITH_BODY)

    @router.get("/quality")
    async def quality(
        hours: Annotated[int, Query(ge=1, le=24 * 366, description="how far back")] = 24,
    ) -> dict[str, Any]:
        """Scores, shares and levels of the last hours, and the trend of each model and spectrum."""
        return await quality_overview(store, table, now_ms=round(time.time() * 1000), hours=hours)

    return router
