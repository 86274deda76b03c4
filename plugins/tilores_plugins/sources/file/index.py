"""Where in the file what is: identifiers -> rows, rows -> bytes.

In memory, as arrays of 64-bit hashes: 200,000 rows with six identifiers each take 25 MB, and `mentions` may ask
without I/O. Measured against SQLite, both with that many rows: filling takes 1.7 s here and 2.6 s there, of some
14 s for reading and understanding the rows; a look-up 4 µs and 15 µs. SQLite would start at once the next time, but
keeps 53 MB on disk and cannot be asked on the event loop. Hashes may collide, so the reader of a row compares.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

_BUCKETS = 256


class Index:
    """Rows by identifier. Filled with `add`, then `freeze`d; after that it only answers."""

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._lengths = array("I")
        self._owners = array("q")
        self._moments = array("d")
        self._groups = array("H")
        self._group_names: list[str | None] = []
        # Sorting a few thousand at a time keeps the freeze from needing as much memory again.
        self._keys = [array("q") for _ in range(_BUCKETS)]
        self._rows = [array("I") for _ in range(_BUCKETS)]
        self.words: set[str] = set()

    def __len__(self) -> int:
        return len(self._offsets)

    def add(
        self, offset: int, length: int, owner: str, identifiers: Iterable[str], group: str | None, moment: float
    ) -> None:
        """Add a row: its place in the file, its customer, and what it is found by (`kind:normalised value`).

        `moment`: its time stamp in seconds, -inf when it has none.
        """
        row = len(self._offsets)
        self._offsets.append(offset)
        self._lengths.append(length)
        self._owners.append(self.owner(owner))
        self._moments.append(moment)
        self._groups.append(self._group(group))
        for key in {self.owner(owner), *map(hash, identifiers)}:
            self._keys[key % _BUCKETS].append(key)
            self._rows[key % _BUCKETS].append(row)

    def freeze(self) -> None:
        for bucket in range(_BUCKETS):
            keys, rows = self._keys[bucket], self._rows[bucket]
            order = sorted(range(len(keys)), key=keys.__getitem__)  # stable: rows stay in the file's order
            self._keys[bucket] = array("q", (keys[i] for i in order))
            self._rows[bucket] = array("I", (rows[i] for i in order))

    def has(self, kind: str, value: str) -> bool:
        key = hash(f"{kind}:{value}")
        keys = self._keys[key % _BUCKETS]
        at = bisect_left(keys, key)
        return at < len(keys) and keys[at] == key

    def owners(self, kind: str, values: Iterable[str]) -> dict[int, None]:
        """The owners of the rows with one of these identifiers, in the file's order."""
        rows = {row for value in values for row in self._find(hash(f"{kind}:{value}"))}
        return dict.fromkeys(self._owners[row] for row in sorted(rows))

    def all_owners(self) -> Iterable[int]:
        """In the file's order."""
        return dict.fromkeys(self._owners)

    def owner(self, customer_id: str) -> int:
        return hash(f"owner:{customer_id}")

    def places(self, owner: int, most: int) -> list[tuple[int, int, str | None]]:
        """Offset, length and group of an owner's rows in the file's order; the newest `most` when there are more."""
        rows = list(self._find(owner))
        if len(rows) > most:
            rows = sorted(sorted(rows, key=self._moments.__getitem__)[-most:])
        return [(self._offsets[row], self._lengths[row], self._group_names[self._groups[row]]) for row in rows]

    def customers(self, most: int) -> tuple[int, int]:
        """How many owners there are, and how many of them have more than `most` rows."""
        count = crowded = run = 0
        before = None
        for owner in sorted(self._owners):
            run = run + 1 if owner == before else 1
            count += run == 1
            crowded += run == most + 1
            before = owner
        return count, crowded

    def _find(self, key: int) -> Iterator[int]:
        keys, rows = self._keys[key % _BUCKETS], self._rows[key % _BUCKETS]
        for at in range(bisect_left(keys, key), bisect_right(keys, key)):
            yield rows[at]

    def _group(self, name: str | None) -> int:
        # Documents have a handful of lists; a file with more than fits has its last ones share a name.
        if name not in self._group_names and len(self._group_names) < 2**16 - 1:
            self._group_names.append(name)
        return self._group_names.index(name) if name in self._group_names else len(self._group_names) - 1
