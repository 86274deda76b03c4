"""Background work beside the web processes: batches, pre-warming, schedules.

batches.py       batches, built from `Services`; prewarming.py: pre-warming; evaluating.py; improving.py
jobs.py          all that a worker does, with `Services`, supervised
engine_pool.py   engines in an executor's processes and threads
process.py       the process: idle until there is work
supervisor.py    keeps one worker process beside a server
"""
