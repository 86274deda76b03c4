"""Background work beside the web processes: batches, pre-warming, schedules.

batches.py       batches, built from `Services`; prewarming.py: pre-warming
jobs.py          all that a worker does, with `Services`
engine_pool.py   engines in an executor's processes and threads
tasks.py         what the worker process does all the time, supervised
process.py       the process: idle until there is work
supervisor.py    keeps one worker process beside a server
presence.py      which worker processes run
"""
