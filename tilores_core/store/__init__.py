"""Durable state: batch jobs, leases, what changed. A SQLite file by default, PostgreSQL by DATABASE_URL.

    address.py      which database that is, without its secrets
    database.py     connections and transactions, each with a deadline; errors as `StoreError`
    schema.py       the metadata that every table is part of, the database's clock, insert-or-update
    repository.py   what the repositories share
    changes.py  leases.py  jobs.py  alerts.py  prompts.py  audit.py  …   tables and their repositories
    migrate.py, migrations/     from any released schema to this one, under a lock
    store.py        all of it together; transfer.py writes and reads it as JSON lines
    lazy.py         opened when first needed; topics.py has what others name or hand over before that

Importing this package, `address`, `lazy` or `topics` imports no SQLAlchemy: what needs no state does not pay for it.

A new table: a dataclass and `make_table`, a repository like that of jobs.py in `Store`, a file in
migrations/versions, its revision in `migrate.REVISIONS`, and a dump for the tests. Rows have text keys that their
maker chooses, so that they can be carried from one database to another as they are.
"""
