#!/usr/bin/env python3
"""Writes src/epm_lab/api.py from the OpenAPI document of the control API, fixtures/forms/control-api.openapi.json.

Usage: python3 python/generate.py, after each change of that document; tests/test_generated.py compares the two.

Objects become dataclasses, operations methods. Enums of words become `Literal`. A choice between objects, such as the
commands of a site, stays JSON, because its variants grow with every release: the comment at its alias lists them.
"""

import json
import keyword
import re
import textwrap
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "fixtures" / "forms" / "control-api.openapi.json"
MODULE = HERE / "src" / "epm_lab" / "api.py"

Schema = Any  # a dictionary, or a bool
WIDTH = 118
SECRETS = re.compile(r"password|secret|token|private|^key$|^kcs$")
JSON_OBJECT = "JsonObject"
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

HEAD = '''"""The control API of a lab: a dataclass for each object, a method for each operation.

Written by python/generate.py from fixtures/forms/control-api.openapi.json; edit neither this file nor its order.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field

from ._http import JsonObject, Transport, quote
from .errors import HIDDEN

__tracebackhide__ = HIDDEN
'''


class Property(NamedTuple):
    """A property of an object, or a parameter of an operation."""

    key: str  # as in JSON
    name: str  # as in Python
    kind: str  # the annotation, without `Optional` for an absent value
    required: bool
    about: str

    @property
    def annotation(self) -> str:
        return self.kind if self.required else optional(self.kind)


def optional(kind: str) -> str:
    """The annotation with `None`, once."""
    return kind if kind == "typing.Any" or kind.startswith("typing.Optional[") else f"typing.Optional[{kind}]"


def snake(name: str) -> str:
    """`takeBaseline` as `take_baseline`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    """`next_heartbeat` as `NextHeartbeat`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def singular(name: str) -> str:
    """The name of one of several."""
    return re.sub(r"(?<=[a-z])ies$", "y", name) if name.endswith("ies") else re.sub(r"(?<=[^s])s$", "", name)


def python_name(key: str, taken: Tuple[str, ...] = ()) -> str:
    """A property's name in Python: keywords and taken names have `_` at the end."""
    name = re.sub(r"\W", "_", key)
    while keyword.iskeyword(name) or name in taken:
        name += "_"
    return name


def sentences(text: Optional[str]) -> str:
    """A description on one line, fit for a docstring."""
    words = (text or "").replace(", percent-encoded", "")  # the client does it
    return " ".join(words.split()).replace("\\", "\\\\").replace('"""', "'''")


def lines(text: str, indent: str, first: str = "", rest: str = "") -> str:
    """Wrapped lines, each with the indent."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent + first,
        subsequent_indent=indent + rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


class Module:
    """The text of the module, built from the document."""

    def __init__(self, document: Dict[str, Any]) -> None:
        self.document = document
        self.components: Dict[str, Schema] = document["components"]["schemas"]
        self.shapes: Dict[str, Any] = {}  # of each name that is written or being written
        self.types: List[str] = []

    def text(self) -> str:
        methods = [
            self.method(path, verb, operation)
            for path, item in self.document["paths"].items()
            for verb, operation in item.items()
            if verb in ("get", "put", "post", "delete", "patch")
        ]
        operations = '\n\nclass ControlApi(Transport):\n    """The operations of the control API."""\n'
        return "\n".join([HEAD, *self.types, operations + "".join(methods)])

    # Types

    def kind(self, schema: Schema, name: str) -> str:
        """The annotation of a schema; objects are written as dataclasses, as `name` if they have none."""
        if not isinstance(schema, dict):
            return "typing.Any"
        if "$ref" in schema:
            return self.component(schema["$ref"].rsplit("/", 1)[1])
        if len(schema.get("allOf", ())) == 1:
            return self.kind(schema["allOf"][0], name)
        variants: List[Schema] = schema.get("oneOf") or schema.get("anyOf") or []
        choices = [one for one in variants if one != {"type": "null"}]
        if choices:
            may_be_absent = len(choices) < len(variants)
            kind = self.kind(choices[0], name) if len(choices) == 1 else self.choice(choices)
            return optional(kind) if may_be_absent else kind
        if "const" in schema or "enum" in schema:
            return self.choice([schema])
        types: Any = schema.get("type")
        if isinstance(types, list):
            rest = [one for one in types if one != "null"]
            kind = self.kind({**schema, "type": rest[0]}, name) if len(rest) == 1 else "typing.Any"
            return optional(kind) if len(rest) < len(types) else kind
        if types == "array":
            items = schema.get("prefixItems", schema.get("items", True))
            if isinstance(items, list):
                return f"typing.Tuple[{', '.join(self.kind(one, name) for one in items)}]"
            of_array = re.fullmatch(r"Array_of_(\w+)", schema.get("title", ""))
            return f"typing.List[{self.kind(items, of_array[1] if of_array else singular(name))}]"
        if types == "object":
            if schema.get("properties"):
                return self.dataclass(schema, name)
            values = schema.get("additionalProperties", True)
            return f"typing.Dict[str, {self.kind(values, name)}]" if isinstance(values, dict) else JSON_OBJECT
        return PLAIN.get(types, "typing.Any")

    @staticmethod
    def words(choices: List[Schema]) -> Optional[List[Any]]:
        """The words of an enum, or None if it is none."""
        found: List[Any] = []
        for one in choices:
            if not isinstance(one, dict) or not ("const" in one or "enum" in one):
                return None
            found += one.get("enum", [one.get("const")])
        return found

    def choice(self, choices: List[Schema]) -> str:
        """The annotation of a choice: words, JSON objects, or anything."""
        words = self.words(choices)
        if words is not None:
            return f"typing.Literal[{', '.join(json.dumps(word) for word in words)}]"
        are_objects = all(isinstance(one, dict) and one.get("type") == "object" for one in choices)
        return JSON_OBJECT if are_objects else "typing.Any"

    def component(self, name: str) -> str:
        """The name of a schema of the document, which is written once."""
        schema = self.components[name]
        if schema.get("type") == "object" and schema.get("properties"):
            return name if name in self.shapes else self.dataclass(schema, name)
        if name not in self.shapes:
            self.shapes[name] = schema
            about = sentences(schema.get("description"))
            variants = [self.tag(one) for one in schema.get("oneOf", ()) if self.words([one]) is None]
            about += f" One of: {', '.join(variants)}." if variants else ""
            kind = self.kind(schema, name)
            self.types.append(f"\n{lines(about, '', '#: ', '#: ')}\n{broken(f'{name} = {kind}', '')}\n")
        return name

    @staticmethod
    def tag(variant: Schema) -> str:
        """What tells a variant from the others: `{"do": "poke", ..}`, or its only key."""
        properties = variant.get("properties", {})
        for key, one in properties.items():
            if isinstance(one, dict) and "const" in one:
                others = [other for other in properties if other != key]
                return (
                    "{"
                    + ", ".join([f"{json.dumps(key)}: {json.dumps(one['const'])}", *map(json.dumps, others)])
                    + "}"
                )
        return "{" + ", ".join(map(json.dumps, properties)) + "}"

    def dataclass(self, schema: Schema, name: str) -> str:
        """Writes a dataclass, and returns its name: that of the component, the title, or one from the context."""
        is_component = self.components.get(name) is schema
        if not is_component:
            title = schema.get("title", "")
            name = title if title.isidentifier() and title not in self.components else name
        if is_component:
            self.shapes[name] = None  # a type may contain itself
        required = schema.get("required", [])
        fields = sorted(
            (
                Property(key, python_name(key), self.kind(one, name + camel(key)), key in required, about(one))
                for key, one in schema["properties"].items()
            ),
            key=lambda one: not one.required,
        )
        shape = [one[:4] for one in fields]
        like = next((known for known, other in self.shapes.items() if other == shape), None)
        if like and not is_component and not schema.get("title"):
            return like
        number, base = 2, name
        while not is_component and name in self.shapes and self.shapes[name] != shape:
            name, number = f"{base}{number}", number + 1
        if not is_component and name in self.shapes:
            return name
        self.shapes[name] = shape
        described = docstring(sentences(schema.get("description")) or name, "    ")
        text = f"\n@dataclass(frozen=True)\nclass {name}:\n{described}\n"
        for one in fields:
            text += "\n" + (lines(one.about, "    ", "#: ", "#: ") + "\n" if one.about else "")
            text += broken(f"{one.name}: {one.annotation}{default(one)}", "    ") + "\n"
        self.types.append(text)
        return name

    # Operations

    def method(self, path: str, verb: str, operation: Dict[str, Any]) -> str:
        """One operation, or two: with `format` there is a second one, for the formats other than JSON."""
        name = python_name(snake(operation["operationId"]))
        parameters = {one["name"]: one for one in operation.get("parameters", ())}
        of_path = re.findall(r"{(\w+)}", path)
        taken: Tuple[str, ...] = ("self", "timeout", "body")
        positional: List[Property] = []
        query: List[Property] = []
        body: List[Property] = []
        for key in of_path:
            one = parameters.pop(key)
            positional.append(self.parameter(key, one["schema"], True, taken))
        formats = parameters.pop("format", None)
        taken += tuple(one.name for one in positional)
        for key, one in parameters.items():
            query.append(self.parameter(key, one["schema"], one.get("required", False), taken))
        taken += tuple(one.name for one in query)
        content = operation.get("requestBody", {}).get("content", {})
        sent = "None"
        if "application/json" in content:
            schema = self.resolved(content["application/json"]["schema"])
            if schema.get("type") == "object" and schema.get("properties"):
                required = schema.get("required", [])
                for key, one in schema["properties"].items():
                    body.append(self.parameter(key, one, key in required, taken, name))
                sent = "{" + ", ".join(f"{json.dumps(one.key)}: {one.name}" for one in body) + "}"
            else:
                kind = self.kind(content["application/json"]["schema"], camel(name))
                about_body = sentences(schema.get("description")) or "The objects, as JSON."
                positional.append(
                    Property("body", "body", kind.replace("typing.List[", "typing.Sequence["), True, about_body)
                )
                sent = "body"
        elif content:
            positional.append(Property("body", "body", "bytes", True, "The content of the file."))
            sent = "body"
        text = json.dumps(path) if not of_path else "f" + json.dumps(re.sub(r"{(\w+)}", r"{quote(\1)}", path))
        for key, one in zip(of_path, positional):
            text = text.replace(f"quote({key})", f"quote({one.name})")
        asked = "{" + ", ".join(f"{json.dumps(one.key)}: {one.name}" for one in query) + "}" if query else "None"
        success = [one for code, one in operation["responses"].items() if code.startswith("2")]
        answers: Dict[str, Any] = success[0].get("content", {}) if success else {}
        call = f'"{verb.upper()}", {text}, {asked}, {sent}, timeout'
        signature = [positional, sorted(query + body, key=lambda one: not one.required)]
        summary = [operation.get("summary"), f"{verb.upper()} {path}"]
        schema = answers.get("application/json", {}).get("schema")
        if schema is None:
            kind = "typing.Iterator[JsonObject]" if "text/event-stream" in answers else "bytes"
            act = "_events" if "text/event-stream" in answers else "_bytes"
            return written(name, signature, kind, summary, [f"return self.{act}({call})"])
        several = self.resolved(schema).get("anyOf", ())
        schema = several[0] if formats and several else schema
        kind = self.kind(schema, camel(name) + "Answer")
        made = written(
            name, signature, kind, summary, [f"answer: {kind} = self._json({kind}, {call})", "return answer"]
        )
        if formats and (several or len(answers) > 1):
            asked = asked[:-1] + ', "format": format}' if query else '{"format": format}'
            call = f'"{verb.upper()}", {text}, {asked}, {sent}, timeout'
            one = self.parameter("format", formats["schema"], True, ())
            signature = [[*positional, one], signature[1]]
            summary = [f"{operation.get('summary')}, in this format", summary[1]]
            made += written(f"{name}_as", signature, "bytes", summary, [f"return self._bytes({call})"])
        return made

    def resolved(self, schema: Schema) -> Schema:
        return self.components[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema

    def parameter(self, key: str, schema: Schema, required: bool, taken: Tuple[str, ...], name: str = "") -> Property:
        """A parameter. Instead of an object it also takes JSON, as a body is often written by hand."""
        kind = self.kind(schema, camel(name) + camel(key))
        bare = re.sub(r"^typing\.Optional\[(.*)\]$", r"\1", kind)
        if self.shapes.get(bare) and isinstance(self.shapes[bare], list):
            kind = f"typing.Union[{bare}, JsonObject]"
        kind = kind.replace("typing.List[", "typing.Sequence[")
        return Property(key, python_name(key, taken), kind, required, about(schema))


def about(schema: Schema) -> str:
    """The description of a property, with its default."""
    if not isinstance(schema, dict):
        return ""
    text = sentences(schema.get("description"))
    default = schema.get("default")
    known = default is None or re.search(r"default|absent|left out", text)
    return text if known else f"{text} Defaults to `{json.dumps(default)}`.".strip()


def default(one: Property) -> str:
    """What stands behind the annotation of a field."""
    is_secret, renamed = SECRETS.search(one.key), one.key != one.name
    options = [] if one.required else ["default=None"]
    options += ["repr=False"] if is_secret else []
    options += [f'metadata={{"key": {json.dumps(one.key)}}}'] if renamed else []
    if is_secret or renamed:
        return f" = field({', '.join(options)})"
    return "" if one.required else " = None"


def docstring(text: str, indent: str) -> str:
    text = text if text.endswith((".", ":", "!", "?")) else text + "."
    wrapped = lines(text, indent, '"""')
    short = "\n" not in wrapped and len(wrapped) + 3 <= WIDTH
    return wrapped + ('"""' if short else f'\n{indent}"""')


def broken(statement: str, indent: str) -> str:
    """A statement; if it is too long, what its longest pair of brackets contains stands on lines of its own."""
    pairs: List[Tuple[int, int, List[int]]] = []
    commas: List[int] = []
    depth, opened = 0, 0
    for at, letter in enumerate(outside_strings(statement)):
        if letter in "([{":
            depth += 1
            opened, commas = (at, []) if depth == 1 else (opened, commas)
        elif letter in ")]}":
            depth -= 1
            pairs += [(at - opened, opened, [*commas, at])] if depth == 0 else []
        elif letter == "," and depth == 1:
            commas.append(at)
    if len(indent + statement) <= WIDTH or not pairs:
        return indent + statement
    _, opened, ends = max(pairs)
    starts = [opened + 1, *(at + 1 for at in ends)]
    parts = [statement[start:end].strip() for start, end in zip(starts, ends)]
    comma = "" if statement[opened] == "[" and len(ends) == 1 else ","  # in an annotation it would make a tuple
    inner = "".join(broken(part, indent + "    ") + f"{comma}\n" for part in parts if part)
    return f"{indent}{statement[: opened + 1]}\n{inner}{indent}{statement[ends[-1] :]}"


def outside_strings(text: str) -> Iterator[str]:
    """The letters of a text, those in double quotes as spaces."""
    quoted = False
    for letter in text:
        quoted ^= letter == '"'
        yield " " if quoted else letter


def written(name: str, signature: List[List[Property]], kind: str, summary: List[Any], body: List[str]) -> str:
    """A method; every one takes a timeout."""
    positional = ["self"] + [f"{one.name}: {one.annotation}" for one in signature[0]]
    named = [f"{one.name}: {one.annotation}" + ("" if one.required else " = None") for one in signature[1]]
    arguments = ", ".join([*positional, "*", *named, "timeout: typing.Optional[float] = None"])
    indent = " " * 8
    text = broken(f"def {name}({arguments}) -> {kind}:", "    ") + "\n"
    text += lines(sentences(summary[0]) + ".", indent, '"""') + f"\n\n{indent}{summary[1]}\n"
    described = [one for one in signature[0] + signature[1] if one.about]
    if described:
        text += "\n" + "".join(lines(f"{one.name}: {one.about}", indent, "", "    ") + "\n" for one in described)
    text += f'{indent}"""\n'
    return "\n" + text + "".join(broken(one, indent) + "\n" for one in body)


def module(document: Dict[str, Any]) -> str:
    """The module for this OpenAPI document."""
    return re.sub(r"\n{4,}", "\n\n\n", Module(document).text())


if __name__ == "__main__":
    MODULE.write_text(module(json.loads(DOCUMENT.read_text(encoding="utf-8"))), encoding="utf-8")
    print(MODULE.relative_to(HERE.parent))
