"""Which history the settings name."""

from __future__ import annotations

from concertmaster.history import CacheFile, DatabaseAddress, configured
from concertmaster.settings import parse

LEAST = "sources: [{name: a, url: 'http://a'}]\nhistoryPath: /data/history.db\n"
URL = "postgresql://db.example.com/history"


def test_without_an_address_it_is_a_file() -> None:
    assert configured(parse(LEAST)) is None


def test_a_server_has_a_cache_beside_where_the_file_would_be() -> None:
    settings = parse(f"{LEAST}history: {{url: {URL}, schema: own, passwordFile: /p, cacheSize: 100Mi}}\n")
    assert configured(settings) == DatabaseAddress(URL, "own", "/p", CacheFile("/data/history.db.cache", 100 * 2**20))


def test_a_cache_of_no_size_is_none() -> None:
    settings = parse(f'{LEAST}history: {{url: {URL}, cacheSize: "0"}}\n')
    assert configured(settings) == DatabaseAddress(URL, "concertmaster", None, None)
