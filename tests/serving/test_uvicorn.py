"""What `serving/connection.py` and `serving/stopping.py` rely on in uvicorn, which is no public API there.

A failure names what a version of uvicorn has changed: adapt the two files, then move the bound in pyproject.toml.
"""

import importlib.metadata
import inspect
import tomllib
from pathlib import Path

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http import httptools_impl

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PROTOCOL = ("connection_made", "data_received", "connection_lost", "on_message_begin", "on_headers_complete")
SERVER = ("startup", "shutdown", "handle_exit")


@pytest.mark.parametrize("name", [*PROTOCOL, "send_400_response", "shutdown"])
def test_uvicorn_protocol_has_the_methods_that_connection_extends(name):
    assert callable(getattr(httptools_impl.HttpToolsProtocol, name, None)), f"HttpToolsProtocol has no {name}()"


def test_uvicorn_protocol_is_made_and_keeps_its_state_as_connection_expects():
    parameters = inspect.signature(httptools_impl.HttpToolsProtocol).parameters
    assert {"config", "server_state", "app_state"} <= set(parameters)
    source = inspect.getsource(httptools_impl.HttpToolsProtocol)
    for attribute in ("self.cycle", "self.transport", "self.loop"):
        assert attribute in source, f"HttpToolsProtocol has no {attribute} any more"
    assert "self.response_complete" in inspect.getsource(httptools_impl.RequestResponseCycle)


@pytest.mark.parametrize("name", SERVER)
def test_uvicorn_server_has_the_methods_that_stopping_extends(name):
    assert name in vars(uvicorn.Server), f"uvicorn.Server has no {name}()"


def test_uvicorn_is_bounded_in_the_requirements_and_the_installed_version_is_inside():
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (bound,) = [one.specifier for one in map(Requirement, extras["serve"]) if one.name == "uvicorn"]
    installed = importlib.metadata.version("uvicorn")
    assert any(specifier.operator == "<" for specifier in bound), "uvicorn has no upper bound"
    assert bound.contains(installed), f"uvicorn {installed} is outside {bound}"
