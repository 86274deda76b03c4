"""Quality: what a right answer holds, how an answer is scored, and how models and prompts are compared.

scoring     an answer against the facts of a golden question, or against the records alone
evaluation  golden questions asked through the chat engine: tables, budgets, comparisons
questions   golden questions: made from a source's records, read from files, split by customer
live        live answers, scored in the web process within a CPU budget; recent_runs and cpu_budget belong to it
thresholds  the monitor of live quality, in the worker process; trends and overview say how it does
"""
