"""`[plugins.file]` in plugins.toml."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Format = Literal["auto", "csv", "jsonl", "json"]


class Settings(BaseModel):
    """Where the file is and what its columns mean. A column inside a nested object is written `address.city`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: Path = Field(description="the file; a relative path starts at the working folder")
    format: Format = Field("auto", description="auto goes by the suffix: .csv, .tsv, .jsonl, .ndjson, .json")
    id_column: str | None = Field(
        None, description="column naming the customer; default: customer_id, client_id, … or id"
    )
    record_id_column: str | None = Field(
        None, description="column naming the record; default: record_id, …, else the customer's id and a number"
    )
    system_column: str | None = Field(
        None, description="column naming the system a record is from; default: system, source, …"
    )
    updated_column: str | None = Field(
        None, description="column with the date of the record; default: updated_at, last_updated, …"
    )
    name_columns: tuple[str, ...] | None = Field(
        None,
        description="columns with names, each a whole name; join parts with +, as in first_name+last_name; "
        "default: what looks like one",
    )
    email_columns: tuple[str, ...] | None = Field(
        None, description="columns with e-mail addresses; default: what looks like one"
    )
    phone_columns: tuple[str, ...] | None = Field(
        None, description="columns with phone numbers; default: what looks like one"
    )
    date_of_birth_column: str | None = Field(
        None, description="column with the date of birth; default: date_of_birth, dob, …"
    )
    trait_columns: tuple[str, ...] | None = Field(
        None,
        description="columns that may be said aloud to tell namesakes apart, least revealing first; "
        "default: year of birth, city, beginning of the postcode, customer since",
    )
    encoding: str = Field("utf-8-sig", description="encoding of the file, one that contains ASCII")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="what separates CSV columns; default: found out"
    )
    phone_region: str | None = Field(
        None,
        pattern="^[A-Z]{2}$",
        description="region of phone numbers without a country code, in the file and in questions; default: US",
    )
    day_first: bool | None = Field(
        None,
        description="true: 4/12/1980 is in December; default: as the column's other dates prove, else by region",
    )
    max_records_per_customer: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="of a customer with more rows the newest are used, and a warning says so",
    )
    max_candidates: int = Field(
        5_000, ge=1, le=100_000, description="customers that may share what was asked for before a look-up is refused"
    )
    reload_seconds: float = Field(
        2.0, ge=0, le=3600, description="how often to look whether the file has changed; 0: never"
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            plain = "a\n,".encode(name.removesuffix("-sig")) == b"a\n,"
        except LookupError:
            raise ValueError("no such encoding; write it like utf-8 or cp1252") from None
        # Rows are found by their line feeds in the raw bytes.
        if not plain:
            raise ValueError("rows cannot be found in this encoding; save the file as UTF-8")
        return name
