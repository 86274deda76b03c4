from __future__ import annotations

from tests.docs.log_events import NAME, calls, current_table, meanings, table

TO_DO = ("plugins/tilores_plugins/sources/file",)
"""Folders whose events have no names of the form `area.what_happened` yet."""

AGAIN = "run `python -m tests.docs.log_events`, then write the meaning of new events into docs/logs.md"


def test_log_events_are_named_area_and_what_happened() -> None:
    wrong = [
        f"{call.place}: {call.event!r}"
        for call in calls()
        if not call.place.startswith(TO_DO) and not (call.event and NAME.fullmatch(call.event))
    ]
    assert not wrong, "name each event like cache.breaker_opened, values as keywords:\n" + "\n".join(wrong)


def test_folders_to_do_still_have_events_without_names() -> None:
    wrong = [call.place for call in calls() if not (call.event and NAME.fullmatch(call.event))]
    assert all(any(place.startswith(folder) for place in wrong) for folder in TO_DO)


def test_page_lists_every_log_event_of_the_code() -> None:
    assert current_table() == table(), AGAIN


def test_every_log_event_has_a_meaning() -> None:
    missing = [event for event, meaning in meanings().items() if len(meaning) < 20]
    assert not missing, AGAIN
