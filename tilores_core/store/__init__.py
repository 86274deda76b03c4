"""Durable state: tables, migrations, repositories, leases."""
