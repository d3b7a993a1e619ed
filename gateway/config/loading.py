"""The configuration file, read and checked: every mistake is named with its key and a hint."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config.model import Config
from gateway.errors import ConfigurationError

ENVIRONMENT_PREFIX = "SEALGATE_"
# The tables that a file may leave out.
TABLES = (
    "gateway", "keys", "listener", "tls", "users", "http", "seal", "release", "queue", "limits", "commitment",
)  # fmt: skip
# The hint for each kind of mistake, as pydantic names it.
HINTS = {
    "extra_forbidden": "there is no such key here; look for a misspelling",
    "missing": "add the key",
    "greater_than_equal": "use a larger number",
    "less_than_equal": "use a smaller number",
    "int_parsing": "write a number without quotes",
    "literal_error": "choose one of the words listed",
    "string_type": "put the value in quotes",
    "tuple_type": "write a list: [..., ...]",
}


def load(path: Path, *, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check a file.

    environment: variables `SEALGATE_<TABLE>__<KEY>` override values of the file.
    Raises ConfigurationError, whose message has one line for each mistake.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{path}: {reason}", hint="Give the path of a TOML file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text", hint="Save the file as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}", hint="Correct the TOML at that line.") from error
    _override(tables, environment)
    for name in TABLES:
        # So that the paths of defaults are relative to the file, too.
        tables.setdefault(name, {})
    try:
        config = Config.model_validate(tables, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigurationError(
            f"{path}:", hint="Correct the keys named above.", details=_explain(error)
        ) from error
    config._source = path.absolute()
    return config


def _override(tables: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Raises ConfigurationError for a table that stands in a list."""
    for variable, value in environment.items():
        table, separator, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and separator:
            if not isinstance(tables.setdefault(table, {}), dict):
                raise ConfigurationError(f"{variable}: only plain tables can be overridden")
            tables[table][key] = value


def _explain(error: ValidationError) -> list[str]:
    """`key: what is wrong (hint)` for each mistake. Values are left out: they may be secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        hint = HINTS.get(problem["type"])
        text = f"{key}: {message}" if key else message
        lines.append(f"{text} ({hint})" if hint else text)
    return lines
