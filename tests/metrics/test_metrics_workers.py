"""Workers exchange their numbers through files: nothing is lost, doubled or told backwards when one dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tilores_core.metrics import Sample, catalogue
from tilores_core.metrics.catalogue import BY_NAME
from tilores_core.metrics.family import Values, values_of
from tilores_core.metrics.workers import WorkerFiles

HITS = catalogue.CACHE_HITS.name
CHILD = """
import sys
from pathlib import Path
from tilores_core.metrics import Sample, catalogue
from tilores_core.metrics.catalogue import BY_NAME
from tilores_core.metrics.family import values_of
from tilores_core.metrics.workers import WorkerFiles

files = WorkerFiles(Path(sys.argv[1]), BY_NAME)
files.open()
hits = Sample(catalogue.CACHE_HITS, ("l1", "answers"), int(sys.argv[2]))
files.write(values_of([hits, Sample(catalogue.WORKERS, (), 1)]))
print("written", flush=True)
sys.stdin.read()
"""


def said(hits: int) -> Values:
    return values_of([Sample(catalogue.CACHE_HITS, ("l1", "answers"), hits), Sample(catalogue.WORKERS, (), 1)])


def child(folder: Path, hits: int) -> subprocess.Popen[str]:
    """Another worker, which has counted so many and lives until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(hits)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def hits(values: Values) -> float:
    value = values[HITS]["l1", "answers"]
    assert not isinstance(value, list)
    return value


def worker(folder: Path) -> WorkerFiles:
    files = WorkerFiles(folder, BY_NAME)
    files.open()
    return files


def test_the_living_and_the_dead_are_added_up(tmp_path: Path) -> None:
    mine = worker(tmp_path)
    other = child(tmp_path, 5)
    try:
        told = mine.together(said(2))
        assert hits(told) == 7
        assert told["tilores_workers"] == {(): 2}
    finally:
        kill(other)
    told = mine.together(said(3))
    assert hits(told) == 8  # what it counted stays
    assert told["tilores_workers"] == {(): 1}  # but it is not there any more


def test_who_takes_a_dead_ones_place_takes_its_counts_over(tmp_path: Path) -> None:
    watching = worker(tmp_path)
    for generation in range(1, 4):
        kill(child(tmp_path, 10))
        assert hits(watching.together(said(1))) == 1 + 10 * generation
    new = worker(tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2, "the dead ones' files are still there"
    assert hits(watching.together(said(1))) == 31
    assert hits(new.together(said(4))) == 35
    assert hits(watching.together(said(1))) == 35


def test_each_new_worker_takes_over_one_dead_one(tmp_path: Path) -> None:
    watching = worker(tmp_path)
    both = [child(tmp_path, 10), child(tmp_path, 20)]
    for process in both:
        kill(process)
    new, other = worker(tmp_path), worker(tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2, "the dead ones' files have new names"
    for asked in (watching, new, other, watching):
        assert hits(asked.together(said(0))) == 30


def test_what_was_told_is_never_more_than_what_is_told_next(tmp_path: Path) -> None:
    one, other = worker(tmp_path), worker(tmp_path)
    before = 0.0
    for number in range(20):
        for asked, own in ((one, 3 * number), (other, 2 * number)):
            now = hits(asked.together(said(own)))
            assert now >= before
            before = now


def test_one_that_is_stuck_keeps_its_counts_and_loses_its_gauges(tmp_path: Path) -> None:
    one, stuck = worker(tmp_path), worker(tmp_path)
    stuck.write(said(5))
    one.write(said(0))
    (path,) = [path for path in tmp_path.glob("*.json") if b'["l1","answers"],5]' in path.read_bytes()]
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    told = one.together(said(1))
    assert hits(told) == 6
    assert told["tilores_workers"] == {(): 1}


def test_a_folder_that_somebody_tidied_away_is_made_again(tmp_path: Path) -> None:
    mine = worker(tmp_path / "run")
    mine.write(said(1))
    (tmp_path / "run" / next((tmp_path / "run").iterdir()).name).unlink()
    (tmp_path / "run").rmdir()
    assert hits(mine.together(said(2))) == 2


def test_the_end_of_a_worker_leaves_its_counts(tmp_path: Path) -> None:
    one, ending = worker(tmp_path), worker(tmp_path)
    ending.close(said(4))
    told = one.together(said(1))
    assert hits(told) == 5
    assert told["tilores_workers"] == {(): 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}'])
def test_a_strangers_file_does_no_harm(tmp_path: Path, content: bytes) -> None:
    mine = worker(tmp_path)
    (tmp_path / "0-odd.json").write_bytes(content)
    assert hits(mine.together(said(2))) == 2
