"""What is written to a connection in one round of the event loop goes out together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tilores_core.web.server import GatheringTransport


class Connection(asyncio.Transport):
    """What went out, one item for each write; None when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes | None] = []

    def writelines(self, list_of_data: Iterable[bytes]) -> None:  # type: ignore[override]
        self.written.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return None in self.written

    def close(self) -> None:
        self.written.append(None)


async def test_head_and_body_go_out_in_one_write_and_much_at_once() -> None:
    connection = Connection()
    transport = GatheringTransport(connection, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert connection.written == []
    await asyncio.sleep(0)
    assert connection.written == [b"head body"]
    piece = b"x" * 40_000
    transport.write(piece)
    transport.write(piece)
    assert connection.written[1:] == [2 * piece], "much does not wait"
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert connection.written[2:] == [b"last", None]
    assert transport.is_closing()
