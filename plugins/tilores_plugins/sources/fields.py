"""What a field of customers' records is, by its name: in any case style, in seven languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar
from unicodedata import combining, normalize

from tilores_core import ConfigError

T = TypeVar("T")

_REMARK: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")  # "Date of birth (MM/DD/YYYY)"
_BETWEEN: Final = re.compile(r"[\W_]+")
_ABBREVIATIONS: Final = {"nm": "name", "nbr": "number", "dt": "date", "addr": "address", "cust": "customer"}
_LONGEST_PATH: Final = 200
_LONGEST_TRAIT: Final = 80

# Fields about other people: their names and numbers are not the customer's.
_OTHERS: Final = re.compile(
    r"spouse|partner|guarantor|employer|emergency|nextofkin|agent|advis|broker|(?<!p)refer|parent|mother|father|child|"
    r"beneficiar|relative|manager|merchant|branch|(?<!home)owner|assign|assistant|createdby|updatedby|modifiedby|salesrep|"
    r"husband|wife|notfall|betreuer|berater|ehepartner|conjoint|conyuge|coniuge"
)

_CUSTOMER: Final = "customers?|clients?|cliente|kunden?|klant|mitglieds?|member"
_NUMBER: Final = "id|number|num|nummer|numero|no|nr|n|code|codigo|codice|key"
_CONTACT: Final = (
    "primary|secondary|work|home|office|private|personal|person|other|customer|client|contact|business|company|billing|"
    "shipping|default|alternate|alternative|main|account|direct|preferred|address|adresse"
)

# Of each kind, those that are taken first.
CUSTOMER_ID: Final = (
    rf"customer|kunnr|kdnr|({_CUSTOMER})({_NUMBER})|({_NUMBER})(de|do|del)?({_CUSTOMER})",
    r"(entity|person|party|contact|accountholder|patient|policyholder|subscriber)(id|key)",
)
OTHER_ID: Final = ("userid", "id")
RECORD_ID: Final = ("recordid|rowid|sourcerecordid|recordkey", "id")
SYSTEM: Final = ("(source)?system", "(data)?source|origin|source(id|name)")
UPDATED: Final = (
    r"(last)?updated(at|on|date)?|(last)?modified(at|on|date)?|(system)?modstamp|geandertam|letzteanderung",
    r"updatedate|recorddate|received(at|date)",
    r"created(at|on|date|utc)?|timestamp",
)
WHOLE_NAME: Final = (
    r"(full|customer|client|whole)?name",
    r"(display|person|contact)name|kundenname|vollername|nomcomplet|nomclient|nombrecompleto|nomecompleto|nomecognome|"
    r"volledigenaam|klantnaam|nom|nombre|nome|naam",
)
FIRST_NAME: Final = (
    r"(customer|contact|person)?(firstname|givenname|forename|first|fname|vorname)|prenom|voornaam|primeironome",
    "nombres?|nome",
)
MIDDLE_NAME: Final = ("middlename|middleinitial|secondname|zweitervorname|segundonombre|tussenvoegsel",)
LAST_NAME: Final = (
    r"(customer|contact|person)?(lastname|familyname|surname|last|family|lname|nachname|familienname)|nomdefamille|"
    r"apellidos?|cognome|sobrenome|apelido|achternaam|familienaam",
    "nom",
)
NICKNAME: Final = ("nickname|preferredname|knownas|alias",)
BORN: Final = (
    r"(customer|person)?(dateofbirth|dob|birthdate|birthday|birthdt|dateborn|born)|geburtsdatum|geburtstag|gebdatum|"
    r"date(de)?naissance|(fecha)(de)?nacimiento|fnacimiento|data(di)?nascita|data(de)?nascimento|geboortedatum",
)
EMAIL: Final = (
    rf"(?:{_CONTACT}|\d)*(e?mails?|courriel|correo(electronico)?|(endereco|indirizzo)(de)?e?mail)"
    r"\d?(address(es)?|adresse?|adres)?\d?",
)
PHONE: Final = (
    rf"(?:{_CONTACT}|numero|numeros?de|n|nr|no|\d)*"
    r"(?:phones?|telephones?|telefon[oe]?|telefoon|tel|telf?\d|mobile?|mobiel|handy|cell|cellular|rufnummer|festnetz|"
    r"gsm|movil|celular|cellulare|telemovel|portable)+\d?(numbers?|nummer|num|no|nr)?s?"
    r"(privat|geschaftlich|dienstlich|domicile|fixe|fijo|fisso|vast|thuis|casa|trabajo|lavoro)?\d?",
    "contact(number|no)",
)
_CITY: Final = (
    "city|town|ort|stadt|wohnort|ville|ciudad|citta|plaats|woonplaats|cidade|localidade?",
    "(mailing|billing|home|default)(address)?city",
)
_POSTCODE: Final = (
    r"postcode|postalcode|zip|zipcode|plz|postleitzahl|codepostal|codigopostal|cap",
    "(mailing|billing|home)(postalcode|zip)",
)
_SINCE: Final = (
    r"(customer|member|client)since|signupdate|joined(at|on)|registered(at|on)|kundeseit|clientdepuis|clientedesde|"
    r"klantsinds|clientedal",
)


@dataclass(frozen=True, slots=True)
class Trait:
    """A field that tells customers of one name apart.

    `kind`: `year`, `beginning` or `value`, what of the field's value may be said.
    """

    label: str
    path: str
    kind: Literal["year", "beginning", "value"] = "value"

    def shorten(self, value: str, day: str | None) -> str:
        """What may be said of the value; `day` is the date that it is, for those of which the year is said."""
        if self.kind == "year":
            return (day or "")[:4]
        return value.split()[0][:3] if self.kind == "beginning" else value[:_LONGEST_TRAIT]


def squash(name: str) -> str:
    """Letters and digits in lower case without accents, remarks in brackets and abbreviations."""
    if not name.isascii():
        name = "".join(c for c in normalize("NFKD", name) if not combining(c))
    words = _BETWEEN.split(_REMARK.sub("", name).lower().replace("#", " number"))
    return "".join(_ABBREVIATIONS.get(word, word) for word in words)


@lru_cache(maxsize=20_000)
def _spellings(path: str) -> tuple[str, str]:
    """A path as it is compared: as a whole, and its last step; both empty when it is about another person."""
    whole = squash(path[-_LONGEST_PATH:])
    return ("", "") if _OTHERS.search(whole) else (whole, squash(path.rpartition(".")[2]))


def guesses(kind: Sequence[str], paths: Iterable[str]) -> list[str]:
    """The paths that are of a kind by their names, the most telling first: whole ones before last steps."""
    paths = [path for path in paths if _spellings(path)[0]]
    patterns = [re.compile(pattern) for pattern in kind]
    found = (
        path for part in (0, 1) for pattern in patterns for path in paths if pattern.fullmatch(_spellings(path)[part])
    )
    return list(dict.fromkeys(found))


def is_whole(kind: Sequence[str], path: str) -> bool:
    """Whether the whole path is called so, and not its last step alone."""
    return any(re.fullmatch(pattern, _spellings(path)[0]) for pattern in kind)


def guess(kind: Sequence[str], paths: Iterable[str]) -> str | None:
    return next(iter(guesses(kind, paths)), None)


def guess_names(paths: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The spellings of a customer's name, each the fields to join; of several the last is the family name."""
    first, middle, last = guess(FIRST_NAME, paths), guess(MIDDLE_NAME, paths), guess(LAST_NAME, paths)
    nickname, whole = guess(NICKNAME, paths), guess(WHOLE_NAME, paths)
    found: list[tuple[str, ...]] = []
    if first and last:
        found += [(first, last), (first, middle, last)] if middle else [(first, last)]
    if nickname and last:
        found.append((nickname, last))
    if whole and not (first and last and whole in (first, last)):
        found.append((whole,))
    return tuple(found)


def guess_traits(paths: Sequence[str], born: str | None) -> tuple[Trait, ...]:
    """What tells namesakes apart, the least revealing first."""
    guessed: tuple[tuple[str, str | None, Literal["year", "beginning", "value"]], ...] = (
        ("born", born, "year"),
        ("city", guess(_CITY, paths), "value"),
        ("customer since", guess(_SINCE, paths), "year"),
        ("postcode begins", guess(_POSTCODE, paths), "beginning"),
    )
    return tuple(Trait(label, path, kind) for label, path, kind in guessed if path)


def newest_first(rows: Sequence[T], moment: Callable[[T], Any]) -> list[T]:
    """The rows by time, and of one moment the last one first."""
    return sorted(rows, key=moment)[::-1]


class NamedFields:
    """Fields that the settings name, held against those there are."""

    def __init__(self, paths: Sequence[str], where: str) -> None:
        self._paths = paths
        self._where = where

    def find(self, setting: str, path: str | None) -> str | None:
        """The field, None where the setting names none. Raises `ConfigError` when there is none of that name."""
        if path is None or path in self._paths:
            return path
        near = get_close_matches(path, self._paths, 1)
        raise ConfigError(
            f"{setting} = {path!r}: there is no such field; there are {format_names(self._paths)}",
            where=self._where,
            fix=f"did you mean {near[0]!r}?" if near else "use one of those",
        )

    def find_all(self, setting: str, paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(found for path in paths if (found := self.find(setting, path)))

    def find_names(self, setting: str, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Names whose parts are joined by a plus."""
        return tuple(self.find_all(setting, map(str.strip, name.split("+"))) for name in names)


def format_names(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
