"""What a running gateway adopts of a changed configuration, and what has to wait for a restart."""

from __future__ import annotations

from typing import Any

from gateway.config import Config
from gateway.service.reload import merged


def configured(**tables: Any) -> Config:
    text: dict[str, Any] = {
        "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}],
        "route": [{"called": "SEALGATE", "action": "pass", "to": ["pacs"]}],
    }
    return Config.model_validate(text | tables)


def test_routes_queue_and_limits_change_while_it_runs() -> None:
    fresh = configured(queue={"attempts": 3}, limits={"drain_s": 1.0})
    adopted, needs_restart = merged(configured(), fresh)
    assert (adopted.queue.attempts, adopted.limits.drain_s, needs_restart) == (3, 1.0, [])


def test_data_dir_and_the_listener_stay_and_are_named() -> None:
    running = configured()
    adopted, needs_restart = merged(
        running, configured(gateway={"workers": 7}, listener={"port": 104}, tls={"port": 2763})
    )
    assert (adopted.gateway, adopted.listener) == (running.gateway, running.listener)
    assert needs_restart == ["gateway", "listener", "tls"]


def test_of_http_only_the_address_stays() -> None:
    running = configured()
    adopted, needs_restart = merged(running, configured(http={"port": 8081, "requests_per_minute": 9}))
    assert (adopted.http.port, adopted.http.requests_per_minute) == (running.http.port, 9)
    assert needs_restart == ["http"]
