"""Pre-warming: customers' records and opening questions are in the cache before anybody asks.

plan.py          what is to be warmed, as plain values
plan_file.py     the JSON that says so, and what is wrong with it
duration.py      30m, 2h
warmer.py        one customer: records, then questions
rounds.py        many customers: by priority, a few at a time, with figures
pool.py          work that waits its turn
calls.py         a call begins
budget.py        calls and cost per hour
entries.py       what was warmed: kept in memory, and was it asked for?
figures.py       what is told of all that
election.py      which replica runs the schedule
schedule.py      when a list's turn comes
service.py       all of it together
"""
