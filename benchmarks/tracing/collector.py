"""What traces are sent to while load is measured: takes requests and forgets them, or takes them and never answers.

    python -m benchmarks.tracing.collector PORT [hang]

It speaks as much of OTLP over HTTP as the tracer does. GET /taken says how many root spans came.
"""

from __future__ import annotations

import asyncio
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    def __init__(self, hangs: bool) -> None:
        self.hangs = hangs
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if self.hangs and path != "/taken":
                    await asyncio.sleep(3600)
                writer.write(self._reply(path, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _reply(self, path: str, body: bytes) -> bytes:
        if path == "/taken":
            said = str(self._taken()).encode()
        else:
            self.bodies.append(body)
            said = b""
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said

    def _taken(self) -> int:
        return sum(
            span.name == "chat"
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )


async def main() -> None:
    collector = Collector(hangs=sys.argv[2:] == ["hang"])
    server = await asyncio.start_server(collector.serve, "127.0.0.1", int(sys.argv[1]), limit=2**24)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
