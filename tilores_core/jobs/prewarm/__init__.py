"""Pre-warming: customers' records and opening questions are in the cache before the first question is asked.

plan.py          the JSON that says what is warmed
warmer.py        one customer: records, then questions
runs.py          who is warmed when: lists by priority, callers as their call begins
stats.py         what was done, and the budget
schedule.py      when a list's turn comes, and which worker follows the schedule
entries.py       warmed entries in the memory of a web process, and the hits on them
publish.py       warmed entries between the worker process and the web processes
service.py       all of it together, in one process
jobs.py          `/admin/prewarm`: a job for the worker process, and the statistics of all
"""
