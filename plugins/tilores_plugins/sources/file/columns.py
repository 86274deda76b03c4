"""What the columns mean: as the settings say, else by their names, checked against the rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from unicodedata import combining, normalize

from tilores_core import ConfigError, Locale
from tilores_plugins.sources.file.dates import Order
from tilores_plugins.sources.file.profile import Column, Profile, value_at
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.values import as_text, is_empty, stays_text

_SQUASH: Final = re.compile(r"[\W_]+")

# Words for the customer; user_id is often the employee who looks after the customer, so it comes last.
_CUSTOMER_IDS: Final = (
    *("customerid", "customernumber", "customerno", "custid", "customer", "clientid", "clientnumber"),
    *("entityid", "personid", "partyid", "memberid", "contactid", "accountholderid", "kundennummer", "kundennr"),
    *("kundenid", "kdnr", "kundennum", "numeroclient", "nclient", "noclient", "numclient", "codeclient", "idclient"),
    *("numerodecliente", "numerocliente", "ncliente", "nocliente", "codigocliente", "codigodecliente", "idcliente"),
    *("codicecliente", "klantnummer", "klantnr", "klantid", "klantcode", "codigodocliente", "numerodocliente"),
)
_OTHER_IDS: Final = ("userid", "id")
_RECORD_IDS: Final = ("recordid", "rowid", "sourcerecordid", "recordkey", "id")
_SYSTEMS: Final = ("system", "sourcesystem", "source", "datasource", "origin")
_UPDATED: Final = (
    *("updatedat", "lastupdated", "lastupdatedat", "modifiedat", "lastmodified", "updatedon", "updated"),
    *("lastmodifieddate", "modifieddate", "updatedate", "recorddate", "receiveddate", "createdat", "timestamp"),
)
_NAMES: Final = (
    *("name", "fullname", "customername", "clientname", "displayname", "personname", "contactname"),
    *("kundenname", "vollername", "nomcomplet", "nomclient", "nombrecompleto", "nomecompleto", "nomecognome"),
    *("volledigenaam", "klantnaam", "nom", "nombre", "nome", "naam"),
)
_FIRST: Final = (
    *("firstname", "givenname", "forename", "first", "vorname", "fname", "prenom", "voornaam", "primeironome"),
    *("nombre", "nome"),
)
_MIDDLE: Final = ("middlename", "middleinitial", "secondname", "zweitervorname", "segundonombre", "tussenvoegsel")
_LAST: Final = (
    *("lastname", "familyname", "surname", "last", "nachname", "lname", "familienname", "nomdefamille", "apellidos"),
    *("apellido", "cognome", "sobrenome", "apelido", "achternaam", "familienaam", "nom"),
)
_NICKNAMES: Final = ("nickname", "preferredname", "knownas", "alias")
_BORN: Final = (
    *("dateofbirth", "dob", "birthdate", "birthday", "birthdt", "born", "personbirthdate", "geburtsdatum"),
    *("geburtstag", "gebdatum", "datedenaissance", "datenaissance", "fechadenacimiento", "fechanacimiento"),
    *("fnacimiento", "datadinascita", "datanascita", "datadenascimento", "datanascimento", "geboortedatum"),
)
_KINDS: Final = (
    "primary|secondary|work|home|office|private|personal|person|other|customer|contact|business|company|billing"
    "|alternate|alternative|main|account|assistant|direct"
)
_EMAIL: Final = re.compile(
    rf"({_KINDS}|adresse)*\d?(e?mails?|courriel|correo(electronico)?|(?:endereco|indirizzo)(?:de)?e?mail)"
    r"\d?(address(es)?|adresse?|adres)?\d?",
    re.ASCII,
)
_PHONE: Final = re.compile(
    rf"({_KINDS}|mobile?|cell|landline|numero|numerode)*\d?"
    r"(phones?|telephone|telefon|tel|mobile|mobil|handy|cell|cellphone|mobilephone|rufnummer|festnetz|telefon[oe]|"
    r"telefoon|gsm|movil|celular|cellulare|telemovel|telportable|portable)\d?(numbers?|nummer|no|nr)?"
    r"(privat|geschaftlich|dienstlich|domicile|fixe|fijo|fisso|vast|thuis|casa|trabajo|lavoro|mobile)?\d?",
    re.ASCII,
)
_CITY: Final = (
    *("city", "town", "ort", "stadt", "mailingcity", "billingcity", "wohnort", "ville", "ciudad", "citta", "plaats"),
    *("woonplaats", "cidade", "localidad", "localidade"),
)
_POSTCODE: Final = (
    *("postcode", "postalcode", "zip", "zipcode", "plz", "mailingpostalcode", "postleitzahl", "codepostal"),
    *("codigopostal", "cap"),
)
_SINCE: Final = (
    *("customersince", "membersince", "clientsince", "signupdate", "joinedat", "joinedon", "registeredat"),
    *("kundeseit", "clientdepuis", "clientedesde", "klantsinds", "clientedal"),
)


@dataclass(frozen=True, slots=True)
class Name:
    """A spelling of the customer's name: columns to join, and which of them is the family name."""

    parts: tuple[Column, ...]
    family: Column | None = None


@dataclass(frozen=True, slots=True)
class Trait:
    """A column that tells customers of one name apart.

    `kind`: `year`, `beginning` or `value`, what of the column's value is shown.
    """

    label: str
    column: Column
    kind: str = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what. `orders`: of columns with dates, which number is first in 4/12/1980."""

    id: Column
    record_id: Column | None
    system: Column | None
    updated: Column | None
    names: tuple[Name, ...]
    emails: tuple[Column, ...]
    phones: tuple[Column, ...]
    born: Column | None
    traits: tuple[Trait, ...]
    orders: Mapping[Column, Order]
    point_zero: frozenset[Column]

    def texts(self) -> frozenset[str]:
        """First keys of the columns whose values stay text: identifiers are not numbers."""
        single = (self.id, self.record_id, *self.emails, *self.phones, *(p for n in self.names for p in n.parts))
        return frozenset(column[0] for column in single if column)


def texts_at(fields: Mapping[str, Any], column: Column | None) -> Sequence[str]:
    """The value as text, or of a list each; empty when there is none."""
    value = value_at(fields, column) if column else None
    items = value if isinstance(value, list) else (value,)
    return [text for item in items if (text := as_text(item)) and not is_empty(text)]


def text_at(fields: Mapping[str, Any], column: Column | None) -> str | None:
    texts = texts_at(fields, column)
    return texts[0] if texts else None


def column_names(fields: Mapping[str, Any], prefix: str = "", depth: int = 4) -> Iterator[str]:
    """The columns of a row, those inside objects with dots."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and value and depth:
            yield from column_names(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}"


class ColumnChoice:
    """The columns of a file, to choose from. `nested`: a dot in a name leads into an object, as in JSON."""

    def __init__(self, settings: Settings, known: Sequence[str], path: Path, *, nested: bool) -> None:
        self._settings = settings
        self._known = known
        self._path = path
        self._nested = nested
        self._whole: dict[str, str] = {}
        self._last: dict[str, str] = {}
        for name in known:
            self._whole.setdefault(_squash(name), name)
            self._last.setdefault(_squash(name.rpartition(".")[2]), name)
        self.born = self._find_given("date_of_birth_column", settings.date_of_birth_column) or self._guess(_BORN)
        self.updated = self._find_given("updated_column", settings.updated_column) or self._guess(_UPDATED)
        self.names = self._names()
        emails, phones = settings.email_columns, settings.phone_columns
        self.emails = self._guess_all(_EMAIL) if emails is None else self._find_all_given("email_columns", emails)
        self.phones = self._guess_all(_PHONE) if phones is None else self._find_all_given("phone_columns", phones)
        self.traits = self._traits()
        self.id = self._find_given("id_column", settings.id_column)
        self._ids = [self.id] if self.id else self._id_candidates()

    def profile(self) -> Profile:
        """Empty tallies for what has to be decided from the rows."""
        years = [trait.column for trait in self.traits if trait.kind == "year"]
        dates = dict.fromkeys(filter(None, (self.born, self.updated, *years)))
        used = {*filter(None, (self.born, self.updated, *self.emails, *self.phones, *self._ids))}
        used |= {part for name in self.names for part in name.parts}
        return Profile(
            ids=self._ids,
            dates=dates,
            births=[self.born] if self.born else (),
            numbers=[
                column
                for name in self._known
                if (column := self._column(name)) not in dates
                and (column in self._ids or column in self.phones or stays_text(name))
            ],
            names=[part for name in self.names for part in name.parts],
            others=[name for name in self._known if self._column(name) not in used],
        )

    def decide(self, profile: Profile) -> tuple[Columns, list[str]]:
        """What the columns are, and warnings. Raises `ConfigError` when the customer's id cannot be told."""
        settings = self._settings
        warnings: list[str] = []
        identity = self._identity(profile)
        record_id = self._find_given("record_id_column", settings.record_id_column) or self._guess(_RECORD_IDS)
        locale = Locale.of(settings.phone_region)
        orders: dict[Column, Order] = {}
        for column, tally in profile.dates.items():
            orders[column], warning = tally.order(
                ".".join(column), settings.day_first, region_day_first=locale.day_first
            )
            if warning:
                warnings.append(warning)
        columns = Columns(
            id=identity,
            record_id=record_id if record_id != identity else None,
            system=self._find_given("system_column", settings.system_column) or self._guess(_SYSTEMS),
            updated=self.updated,
            names=self.names,
            emails=self.emails,
            phones=self.phones,
            born=self.born,
            traits=self.traits,
            orders=orders,
            point_zero=frozenset(
                column for name in self._known if profile.has_point_zero(column := self._column(name))
            ),
        )
        return columns, warnings

    def _identity(self, profile: Profile) -> Column:
        if not self._known:
            raise ConfigError(
                "no row was found: JSON must be a list of objects, an object with such lists, or an object a line",
                where=str(self._path),
                fix="export the customers as a list",
            )
        if not self._ids:
            raise self._unclear(f"no column names the customer; the columns are {_format_names(self._known)}")
        if self.id is not None:
            return self.id
        fitting = [column for column in self._ids if profile.ids[column].is_an_id or not profile.rows]
        if not fitting:
            worst = self._ids[0]
            tally = profile.ids[worst]
            found = f"{tally.conflicts} of {tally.compared} repeated values belong to people with different names"
            reason = found if tally.filled else "it is empty"
            raise self._unclear(f"the column {'.'.join(worst)!r} does not name the customer: {reason}")
        inner = [c for c in fitting if _names_customer(c) and profile.ids[c].filled == profile.rows]
        if inner and len(fitting[0]) == 1 and _squash(fitting[0][0]) in _OTHER_IDS:
            could = f"{fitting[0][0]!r} and {'.'.join(inner[0])!r} could each name the customer"
            raise self._unclear(could, ".".join(inner[0]))
        strong = [column for column in fitting if _squash(".".join(column)) in _CUSTOMER_IDS]
        repeats = {profile.ids[column].repeated for column in strong}
        if len(strong) > 1 and len(repeats) > 1:
            names = " and ".join(repr(".".join(column)) for column in strong)
            could = f"{names} could each name the customer, and they group the rows differently"
            raise self._unclear(could, ".".join(strong[0]))
        return fitting[0]

    def _unclear(self, message: str, column: str = "…") -> ConfigError:
        fix = f'say which column does in [plugins.file]: id_column = "{column}"'
        return ConfigError(message, where=str(self._path), fix=fix)

    def _id_candidates(self) -> list[Column]:
        whole, last = (
            [self._column(names[name]) for name in (*_CUSTOMER_IDS, *_OTHER_IDS) if name in names]
            for names in (self._whole, self._last)
        )
        if whole and _squash(".".join(whole[0])) in _OTHER_IDS:
            whole += [column for column in last if _names_customer(column)]
        return whole or last

    # --- by name ---------------------------------------------------------------------------------------------

    def _find_given(self, setting: str, name: str | None) -> Column | None:
        if name is None:
            return None
        if name not in self._known:
            near = get_close_matches(name, self._known, n=1)
            raise ConfigError(
                f"{setting} = {name!r}: there is no such column; the columns are {_format_names(self._known)}",
                where=str(self._path),
                fix=f"did you mean {near[0]!r}?" if near else "use one of those",
            )
        return self._column(name)

    def _find_all_given(self, setting: str, names: Iterable[str]) -> tuple[Column, ...]:
        return tuple(column for name in names if (column := self._find_given(setting, name)))

    def _guess_all(self, looks_like: re.Pattern[str]) -> tuple[Column, ...]:
        return tuple(
            self._column(name)
            for name in self._known
            if looks_like.fullmatch(_squash(name.rpartition(".")[2])) or looks_like.fullmatch(_squash(name))
        )

    def _guess(self, candidates: Iterable[str]) -> Column | None:
        candidates = tuple(candidates)
        for names in (self._whole, self._last):
            for candidate in candidates:
                if candidate in names:
                    return self._column(names[candidate])
        return None

    def _column(self, name: str) -> Column:
        return tuple(name.split(".")) if self._nested and "." in name else (name,)

    def _names(self) -> tuple[Name, ...]:
        if self._settings.name_columns is not None:
            names = [
                self._find_all_given("name_columns", map(str.strip, name.split("+")))
                for name in self._settings.name_columns
            ]
            return tuple(Name(columns, columns[-1] if len(columns) > 1 else None) for columns in names)
        found: list[Name] = []
        first, middle, last = self._guess(_FIRST), self._guess(_MIDDLE), self._guess(_LAST)
        nickname, whole = self._guess(_NICKNAMES), self._guess(_NAMES)
        if first and last:
            found.append(Name((first, last), last))
            if middle:
                found.append(Name((first, middle, last), last))
        if nickname and last:
            found.append(Name((nickname, last), last))
        if whole and whole != nickname and not (first and last and whole in {first, last}):
            found.append(Name((whole,)))
        return tuple(found)

    def _traits(self) -> tuple[Trait, ...]:
        if self._settings.trait_columns is not None:
            columns = self._find_all_given("trait_columns", self._settings.trait_columns)
            return tuple(Trait(" ".join(column).replace("_", " ").replace(".", " "), column) for column in columns)
        guessed = (
            ("born", self.born, "year"),
            ("city", self._guess(_CITY), "value"),
            ("customer since", self._guess(_SINCE), "year"),
            ("postcode begins", self._guess(_POSTCODE), "beginning"),
        )
        return tuple(Trait(label, column, kind) for label, column, kind in guessed if column)


def _names_customer(column: Column) -> bool:
    """Whether a column inside an object is called as a customer's id is."""
    return len(column) > 1 and _squash(column[-1]) in _CUSTOMER_IDS


def _squash(name: str) -> str:
    """Letters and digits in lower case without accents."""
    if not name.isascii():
        name = "".join(c for c in normalize("NFKD", name) if not combining(c))
    return _SQUASH.sub("", name).lower()


def _format_names(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
