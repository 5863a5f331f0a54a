"""The admin API's description, and what it says of a call's answer: every answer that a test gets is held against it.

The validator knows the keywords that the file uses, and fails on any other, so that nothing is passed over.
"""

import json
import pathlib
import re

FILE = pathlib.Path(__file__).resolve().parents[2] / "server" / "admin" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text())
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}
REMARKS = {"description", "format", "default"}


def resolve(node):
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for name in path:
            node = node[name]
    return node


def is_type(value, name):
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def faults(schema, value, where="answer"):
    """What is wrong with the value, as a list of texts."""
    schema = resolve(schema)
    found = []
    for keyword, rule in schema.items():
        if keyword == "type":
            if not any(is_type(value, name) for name in ([rule] if isinstance(rule, str) else rule)):
                return [f"{where}: {value!r} is no {rule}"]
        elif keyword == "anyOf":
            if all(faults(option, value, where) for option in rule):
                found.append(f"{where}: {value!r} is none of {len(rule)} kinds")
        elif keyword == "enum":
            if value not in rule:
                found.append(f"{where}: {value!r} is none of {rule}")
        elif keyword == "pattern":
            if isinstance(value, str) and not re.search(rule, value):
                found.append(f"{where}: {value!r} is not as {rule}")
        elif keyword in ("minimum", "maximum"):
            if isinstance(value, int) and (value < rule if keyword == "minimum" else value > rule):
                found.append(f"{where}: {value} is beyond {keyword} {rule}")
        elif keyword in ("minLength", "minItems", "minProperties"):
            if value is not None and len(value) < rule:
                found.append(f"{where}: shorter than {rule}")
        elif keyword in ("maxLength", "maxItems", "maxProperties"):
            if value is not None and len(value) > rule:
                found.append(f"{where}: longer than {rule}")
        elif keyword == "items":
            for i, item in enumerate(value or []):
                found += faults(rule, item, f"{where}[{i}]")
        elif keyword == "required":
            found += [f"{where}.{name}: missing" for name in rule if isinstance(value, dict) and name not in value]
        elif keyword == "properties":
            for name, item in (value or {}).items():
                if name in rule:
                    found += faults(rule[name], item, f"{where}.{name}")
        elif keyword == "additionalProperties":
            found += [f"{where}.{name}: is not documented" for name in value or {} if not rule and name not in schema["properties"]]
        else:
            assert keyword in REMARKS, f"{where}: the validator does not know {keyword}"
    return found


def operations():
    """(method, path template, operation) of everything documented."""
    return [(method.upper(), path, op) for path, methods in DOCUMENT["paths"].items() for method, op in methods.items()]


def find(method, path):
    """The operation of a call below /v1/, None if there is none."""
    path = "/" + path.split("?")[0]
    best = None
    for its_method, template, op in operations():
        pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))
        if its_method == method and re.fullmatch(pattern, path) and (best is None or "{" not in template):
            best = op
    return best


def check(method, path, status, content_type, body):
    """Fails unless the answer is as documented."""
    op = find(method, path)
    if op is None or status == 405:
        response = DOCUMENT["components"]["responses"]["404"]  # every refusal looks alike
        assert status in (403, 404, 405, 413, 503), (method, path, status, body)
    else:
        assert str(status) in op["responses"], f"{method} {path}: {status} is not documented: {body[:300]}"
        response = resolve(op["responses"][str(status)])
    assert list(response["content"]) == [content_type], f"{method} {path}: {content_type} is not documented"
    if content_type == "application/json":
        found = faults(response["content"][content_type]["schema"], json.loads(body))
        assert not found, f"{method} {path}: {found[:5]}"
