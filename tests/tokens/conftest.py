"""Every test has a cache of its own."""

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("TINYLM_DATA", raising=False)
