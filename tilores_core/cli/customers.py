"""`tilores customers …`: what a file of customers would be understood as; `tilores forget ID`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tilores_core.cli.options import Commands, Options, RemoteOptions
from tilores_core.cli.output import Output
from tilores_core.errors import ConfigError

if TYPE_CHECKING:
    from tilores_core.contracts import SourceReport

app = Commands("customers", "Look at customers' data before it is served.")


@app.command()
async def check(
    options: Options,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The customers' file.")],
) -> Output:
    """Show how a file of customers would be read.

    That is which column became what, how much was read, and which rows would be left out. The settings are those of
    the source's table in plugins.toml, with another path. Exit code 1 when no row would be served.
    """
    from dataclasses import asdict

    report = await _report(options, file.resolve())
    return Output(asdict(report), *format_report(report), failed=not report.customers)


def format_report(report: SourceReport) -> list[str]:
    lines = [f"{report.records} rows of {report.customers} customers, {report.left_out} rows left out"]
    lines += [f"  {fact}" for fact in report.facts]
    lines += [f"left out: {problem}" for problem in report.problems]
    if report.left_out > len(report.problems):
        lines.append(f"left out: {report.left_out - len(report.problems)} more rows")
    lines += [f"warning: {warning}" for warning in report.warnings]
    return lines


async def _report(options: Options, file: Path) -> SourceReport:
    from tilores_core.contracts import SupportsReport
    from tilores_core.host.roles import SOURCE
    from tilores_core.logs import configure_logging
    from tilores_core.services import load_host
    from tilores_core.settings import LoadedConfig, load_config

    environment = options.environment()
    configure_logging("debug" if options.verbose else "error", environment.log_format)  # the report says it all
    loaded = load_config(environment.config)
    plan = {"disable": options.disable, "no_plugins": options.no_plugins}
    host = load_host(environment, loaded=loaded, **plan)
    try:
        able = {
            name: host.registration(SOURCE, name).plugin_id
            for name in host.names(SOURCE)
            if SupportsReport in host.registration(SOURCE, name).spec.abilities
        }
    finally:
        await host.aclose()
    name = loaded.config.use.source if loaded.config.use.source in able else next(iter(able), None)
    if name is None:
        raise ConfigError("no active source reads files", fix="tilores plugins enable file")
    tables = {**loaded.config.plugins, able[name]: {**loaded.config.plugins.get(able[name], {}), "path": str(file)}}
    use = loaded.config.use.model_copy(update={"source": name})
    config = loaded.config.model_copy(update={"plugins": tables, "use": use})
    host = load_host(environment, loaded=LoadedConfig(config=config, path=loaded.path, packaged=False), **plan)
    try:
        source = host.build(SOURCE, name)
        assert isinstance(source, SupportsReport)  # the host has checked the abilities
        return await source.report()
    finally:
        await host.aclose()


async def forget(
    options: Options,
    customer: Annotated[str, typer.Argument(metavar="ID", help="The customer's id, as the source has it.")],
    remote: RemoteOptions,
) -> Output:
    """Remove a customer from all that is kept.

    That is caches, inputs and results of batches, collected questions; it says what cannot be reached from here.
    """
    from tilores_core.jobs.forget import check_customer_id

    check_customer_id(customer)
    if (server := remote.server(options)) is not None:
        found = await server.delete(f"/admin/customers/{quote(customer, safe='')}", "removed", "not_reached")
    else:
        from tilores_core.cli.cache import open_cache
        from tilores_core.jobs.forget import forget_everywhere
        from tilores_core.services import job_folder

        async with open_cache(options, only_shared=False) as (cache, host), options.open_store() as store:
            found = await forget_everywhere(cache, job_folder(options.environment()), store, host, customer)
            if all(tier["breaker"] is None for tier in (await cache.stats())["tiers"].values()):
                reason = f"ask each server: tilores forget {customer} --url http://127.0.0.1:8000"
                found["not_reached"].insert(0, {"where": "the memory of running servers", "reason": reason})
    return Output(found, *_lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    removed = found["removed"]
    cache = ", ".join(f"{count} {namespace}" for namespace, count in sorted(removed["cache"].items())) or "nothing"
    return [
        f"removed from the cache: {cache}",
        f"removed from batches: {removed['batch_results']} results, {removed['batch_inputs']} inputs",
        f"removed from questions of live traffic: {removed['questions']}",
        *(f"not reached: {left_out['where']}: {left_out['reason']}" for left_out in found["not_reached"]),
    ]
