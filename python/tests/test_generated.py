"""The client is what the generator makes of the OpenAPI document, and has every operation of it."""

import inspect
import json
from dataclasses import is_dataclass
from typing import Any, Dict

import generate
from epm_lab import ControlApi, api
from epm_lab._http import decode, encode

DOCUMENT: Dict[str, Any] = json.loads(generate.DOCUMENT.read_text(encoding="utf-8"))


def test_the_module_is_what_the_generator_makes() -> None:
    written = generate.MODULE.read_text(encoding="utf-8")
    assert written == generate.module(DOCUMENT), "run: python3 python/generate.py"


def test_every_operation_is_a_method_with_a_timeout() -> None:
    names = {generate.snake(one["operationId"]) for item in DOCUMENT["paths"].values() for one in item.values()}
    assert len(names) > 60
    for name in names:
        assert "timeout" in inspect.signature(getattr(ControlApi, name)).parameters, name


def made(schemas: Dict[str, Any], operation: Dict[str, Any]) -> Dict[str, Any]:
    """The names of the module for a document with one operation."""
    paths = {"/v1/things/{class}": {"put": {"operationId": "setThing", "summary": "Set a thing", **operation}}}
    text = generate.module({"paths": paths, "components": {"schemas": schemas}})
    names: Dict[str, Any] = {"__name__": "epm_lab.made", "__package__": "epm_lab"}
    import sys
    import types

    module = types.ModuleType("epm_lab.made")
    sys.modules["epm_lab.made"] = module
    exec(compile(text, "made", "exec"), module.__dict__)
    names.update(module.__dict__)
    return names


def test_keywords_secrets_and_absent_values_survive_the_way_to_python_and_back() -> None:
    thing = {
        "type": "object",
        "description": 'Says """much""" with a \\ in it.',
        "properties": {
            "from": {"type": "string"},
            "password": {"type": ["string", "null"]},
            "inner": {"allOf": [{"$ref": "#/components/schemas/Thing"}]},
            "at": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
            "each": {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {"n": {"type": "integer"}}},
            },
            "word": {"oneOf": [{"const": "one"}, {"const": "two"}]},
        },
        "required": ["from"],
    }
    answer = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}
    path = {"name": "class", "in": "path", "required": True, "schema": {"type": "string"}}
    names = made({"Thing": thing}, {"parameters": [path], "responses": answer})
    kind = names["Thing"]
    assert is_dataclass(kind)
    sent = {
        "from": "a",
        "password": "hush",
        "inner": {"from": "b"},
        "at": ["x", 1],
        "each": {"k": {"n": 2}},
        "word": "two",
    }
    value = decode(kind, {**sent, "unknown": 1})
    assert value.from_ == "a" and value.inner.from_ == "b" and value.at == ("x", 1) and value.each["k"].n == 2
    assert encode(value) == {**sent, "at": ["x", 1]}
    assert "hush" not in repr(value)
    assert list(inspect.signature(names["ControlApi"].set_thing).parameters) == ["self", "class_", "timeout"]


def test_no_field_with_a_secret_is_shown() -> None:
    for name, kind in vars(api).items():
        if is_dataclass(kind):
            for one in vars(kind)["__dataclass_fields__"].values():
                assert not (one.repr and "password" in one.name), f"{name}.{one.name}"
