"""The two pages for people: one to try the model on, one that says what each path takes and gives.

Both are whole in themselves, and their headers forbid them to load or send anything elsewhere. FastAPI's own `/docs`
cannot do that: its page loads Swagger UI (1.5 MB) from a CDN, by an inline script, and the package holds no copy.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import Any


@cache
def page() -> str:
    """The page to try the model on."""
    return _read("page.html")


@cache
def page_headers() -> dict[str, str]:
    """The headers that belong to `page`."""
    return _headers(page())


def reference(openapi: Mapping[str, Any]) -> str:
    """The page about the paths, from their OpenAPI description."""
    operations = "\n".join(
        _operation(path, method, operation, openapi)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    about = escape(openapi["info"]["description"])
    return Template(_read("reference.html")).substitute(about=about, operations=operations)


@cache
def reference_headers() -> dict[str, str]:
    """The headers that belong to `reference`."""
    return _headers(_read("reference.html"))


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _headers(html: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(_hashes(html, "script")) or "'none'",
        "style-src": " ".join(_hashes(html, "style")),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _hashes(html: str, element: str) -> Iterator[str]:
    for content in re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL):
        yield f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _operation(path: str, method: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>",
    ]
    if operation.get("security"):
        parts.append("<p>Wants the header <code>Authorization: Bearer TOKEN</code>.</p>")
    if "requestBody" in operation:
        parts += _shapes("Takes", operation["requestBody"], openapi)
    responses = operation["responses"]
    for status in sorted(status for status in responses if status.startswith("2")):
        parts += _shapes("Gives", responses[status], openapi)
    refused = {status: response["description"] for status, response in responses.items() if status[0] in "45"}
    if refused:
        items = "".join(f"<li>{status}: {escape(why)}</li>" for status, why in refused.items())
        parts.append(f"<h3>Refuses</h3><ul>{items}</ul>")
    return "\n".join([*parts, "</section>"])


def _shapes(title: str, body: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3>{escape(title)}</h3>"
    for kind, content in body.get("content", {}).items():
        schema = _resolved(content.get("schema", {}), openapi)
        for shape in schema.get("oneOf") or schema.get("anyOf") or [schema]:
            yield _table(kind, shape)


def _table(kind: str, shape: Mapping[str, Any]) -> str:
    about = f"<p>{escape(shape.get('description', ''))} <small>{escape(kind)}</small></p>"
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(field))}</td>"
        f"<td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in shape.get("properties", {}).items()
    )
    return f"{about}<table>{rows}</table>" if rows else about


def _type(field: Mapping[str, Any]) -> str:
    limits = {"maxLength": "characters", "maxItems": "items"}
    most = "".join(f", at most {field[key]} {unit}" for key, unit in limits.items() if key in field)
    if "anyOf" in field:
        # What may be missing: its type where it is there.
        return _type(next(shape for shape in field["anyOf"] if shape.get("type") != "null"))
    if "items" in field:
        return f"list of {_type(field['items'])}{most}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"object of {_type(field['additionalProperties'])}"
    default = f", default {json.dumps(field['default'])}" if "default" in field else ""
    return f"{field.get('type', field.get('title', 'object'))}{most}{default}"


def _resolved(schema: Any, openapi: Mapping[str, Any]) -> Any:
    """A schema with what it refers to written out."""
    if isinstance(schema, list):
        return [_resolved(part, openapi) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]], openapi)
    return {key: _resolved(value, openapi) for key, value in schema.items()}
