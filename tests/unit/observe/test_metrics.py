"""Every metric is exported with its description."""

from __future__ import annotations

from typing import Any

from gateway.observe import Metrics
from gateway.observe.metrics import METRICS, JobCount


def test_every_metric_can_be_exported() -> None:
    metrics = Metrics()
    for metric in METRICS:
        labels: dict[str, Any] = dict.fromkeys(metric.labels, "x")
        if metric.kind == "counter":
            metrics.count(metric.name, **labels)
        elif metric.kind == "gauge":
            metrics.set(metric.name, 1, **labels)
        else:
            metrics.time(metric.name, 0.1, **labels)
    text = metrics.exposition().decode()
    assert all(f"# HELP {metric.name} {metric.help}" in text for metric in METRICS)


def test_queue_gauges_forget_what_is_not_there_any_more() -> None:
    metrics = Metrics()
    count = JobCount(step="deliver", destination="pacs", state="ready", jobs=3, age_s=10.0)
    metrics.set_jobs([count])
    assert (
        'sealgate_queue_jobs{destination="pacs",state="ready",step="deliver"} 3.0'
        in metrics.exposition().decode()
    )
    metrics.set_jobs([])
    assert 'destination="pacs"' not in metrics.exposition().decode()
