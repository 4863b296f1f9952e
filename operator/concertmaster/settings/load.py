"""Reading the configuration file: every mistake is named with file, field and remedy, and no value is repeated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from concertmaster.core.text import meant
from concertmaster.engines.yaml_documents import check
from concertmaster.settings.model import Settings
from concertmaster.settings.source import PATTERNS


class SettingsError(ValueError):
    """A configuration that cannot be used; one line per mistake: file, field, what is wrong, what to do."""


def load(path: str | Path) -> Settings:
    """Read and check a configuration file. Raises SettingsError, whose text lists every mistake found."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{file}: cannot be read ({error.strerror or error}). Give the path of a YAML file."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: is not UTF-8 text. Save it as UTF-8.") from None
    return parse(text, name=str(file))


def parse(text: str, *, name: str = "configuration") -> Settings:
    """Check the text of a configuration; ``name`` stands for the file in messages. Raises SettingsError."""
    try:
        check(text, _Loader)
        settings = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SettingsError(_yaml_message(name, error)) from None
    if not isinstance(settings, dict):
        raise SettingsError(
            f"{name}: must be a mapping that has at least sources: [{{name: default, url: http://...}}]."
        )
    if "kind" in settings and "apiVersion" in settings:
        raise SettingsError(
            f"{name}: is a Kubernetes object (kind {settings['kind']!s:.40}), not the configuration. Give the file that the"
            " operator reads, in a ConfigMap the text below data."
        )
    try:
        return Settings.model_validate(settings)
    except ValidationError as error:
        lines = [f"{name}: {_where(one['loc'])}: {_what(one)}" for one in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None


def schema() -> dict[str, Any]:
    """JSON schema of the file, with descriptions and defaults, for printing and for editors."""
    document = Settings.model_json_schema(by_alias=True)
    document["title"] = "Configuration of the Concertmaster operator"
    return document


class _Loader(yaml.SafeLoader):
    """YAML in which a value that cannot be read has a place."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError):  # of what looks like a date or a number and is none
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"a value cannot be read as {kind}; if it is text, put it in quotes",
                node.start_mark,
            ) from None


def _yaml_message(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{name}, line {mark.line + 1}" if mark is not None else name
    problem = getattr(error, "problem", None) or "cannot be read"
    return f"{place}: is not valid YAML: {problem}. Correct that line."


def _where(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(whole file)"


def _what(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(error["loc"])
    if kind == "invalid_key":
        return "is not text; write the name of a field"
    if kind == "missing":
        return "is required and missing; add it"
    if kind == "value_error":
        return str(context.get("error", error["msg"])).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    message, should, rest = str(error["msg"]).partition(" should ")
    if not should:
        return message
    rest = re.sub(r"a valid dictionary( or instance of \w+)?$", "a mapping", rest.replace("a valid tuple", "a list"))
    return f"must {re.split(', unable to | after validation', rest)[0]}"


def _unknown_field(location: tuple[int | str, ...]) -> str:
    known = _fields_at(location[:-1])
    listed = ", ".join(sorted(known))
    return f"unknown field; {meant(str(location[-1]), known, f'known here: {listed}')}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields a section has, found by walking the model along the error's location."""
    model: type[BaseModel] = Settings
    for part in location:
        names = {(field.alias or name): field for name, field in model.model_fields.items()}
        if isinstance(part, str) and part in names:
            model = _section_of(names[part].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((section for section in map(_section_of, get_args(annotation)) if section is not None), None)
