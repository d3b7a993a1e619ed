"""The Prometheus metrics of the gateway, without patient data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# Upper bounds of the histograms' buckets.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True)
class Metric:
    """A metric as it is exported. help: one sentence for docs/operations.md and for Prometheus."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric("sealgate_received_total", "counter", "Instances received and made durable.", ("called",)),
    Metric("sealgate_received_bytes_total", "counter", "Bytes of data sets received.", ("called",)),
    Metric(
        "sealgate_repeated_total",
        "counter",
        "Arrivals of bytes that are known already, answered from what the queue remembers.",
    ),
    Metric(
        "sealgate_changed_total",
        "counter",
        "Arrivals of other bytes under a known SOP Instance UID.",
        ("policy",),
    ),
    Metric(
        "sealgate_commitment_requests_total",
        "counter",
        "Requests for storage commitment accepted.",
        ("calling",),
    ),
    Metric(
        "sealgate_commitments_total",
        "counter",
        "Requests for storage commitment ended, by what was reported.",
        ("outcome",),
    ),
    Metric(
        "sealgate_commitments_open",
        "gauge",
        "Requests for storage commitment that wait for deliveries or for their report.",
    ),
    Metric(
        "sealgate_archive_commitments_total",
        "counter",
        "Requests for storage commitment to archives, by their answer.",
        ("destination", "outcome"),
    ),
    Metric("sealgate_refused_total", "counter", "C-STORE requests answered with a failure.", ("status",)),
    Metric("sealgate_associations_total", "counter", "Incoming associations ended.", ("outcome",)),
    Metric("sealgate_associations_active", "gauge", "Incoming associations open now."),
    Metric(
        "sealgate_associations_refused_total",
        "counter",
        "Associations and connections refused, by reason.",
        ("reason",),
    ),
    Metric(
        "sealgate_contexts_refused_total",
        "counter",
        "Presentation contexts that the node may not use.",
        ("node", "service"),
    ),
    Metric(
        "sealgate_certificate_expiry_seconds",
        "gauge",
        "Seconds until one of our certificates expires (TLS, standard signature).",
        ("certificate",),
    ),
    Metric("sealgate_http_refused_total", "counter", "HTTP requests refused, by reason.", ("reason",)),
    Metric(
        "sealgate_http_wrong_tokens_total", "counter", "Tokens of HTTP callers that were checked and wrong."
    ),
    Metric(
        "sealgate_sealed_total",
        "counter",
        "Instances that went through sealing, by level and reason.",
        ("level", "reason"),
    ),
    Metric(
        "sealgate_standard_signatures_total",
        "counter",
        "Standard signatures of sealed instances: signed, stamped, or why there is none.",
        ("outcome",),
    ),
    Metric(
        "sealgate_verdicts_total",
        "counter",
        "Verdicts on the routes that verify, restore or release.",
        ("verdict",),
    ),
    Metric("sealgate_restored_total", "counter", "Instances whose original pixels were restored."),
    Metric(
        "sealgate_released_total",
        "counter",
        "Instances released for export, without seal and record, by reason.",
        ("reason",),
    ),
    Metric("sealgate_quarantined_total", "counter", "Instances put into quarantine.", ("reason",)),
    Metric("sealgate_quarantine_objects", "gauge", "Objects in quarantine. Only people remove them."),
    Metric("sealgate_quarantine_bytes", "gauge", "Bytes of the objects in quarantine."),
    Metric("sealgate_forwarded_total", "counter", "Instances delivered.", ("destination",)),
    Metric("sealgate_forwarded_bytes_total", "counter", "Bytes of data sets delivered.", ("destination",)),
    Metric(
        "sealgate_transcoded_total",
        "counter",
        "Instances converted losslessly so that the destination accepts them.",
        ("destination",),
    ),
    Metric(
        "sealgate_queries_total",
        "counter",
        "Queries (C-FIND) answered, by level and outcome.",
        ("level", "outcome"),
    ),
    Metric("sealgate_query_seconds", "histogram", "Seconds from a query to its last response."),
    Metric(
        "sealgate_retrievals_total",
        "counter",
        "Requests to retrieve (C-GET, C-MOVE) answered, by outcome.",
        ("service", "outcome"),
    ),
    Metric(
        "sealgate_retrieved_total",
        "counter",
        "Instances that were asked for, by verdict (empty: none) and delivered, marked, withheld or failed.",
        ("verdict", "outcome"),
    ),
    Metric(
        "sealgate_web_objects_total",
        "counter",
        "Objects for DICOMweb, by where they came from: kept, or fetched and either verified or unchanged.",
        ("source",),
    ),
    Metric("sealgate_web_cache_bytes", "gauge", "Bytes of verified objects that are kept for DICOMweb."),
    Metric(
        "sealgate_retrieval_seconds", "histogram", "Seconds from a request to retrieve to its last response."
    ),
    Metric(
        "sealgate_failures_total", "counter", "Failed attempts, by step and error code.", ("step", "code")
    ),
    Metric(
        "sealgate_failover_total",
        "counter",
        "Deliveries added to another destination, because the first did not take them.",
        ("destination", "to"),
    ),
    Metric("sealgate_parked_total", "counter", "Jobs parked until a person decides.", ("step", "code")),
    Metric(
        "sealgate_spool_corrupt_total",
        "counter",
        "Spool objects that changed since they were written, noticed before use.",
        ("step",),
    ),
    Metric("sealgate_bypass", "gauge", "1 if the gateway was started with --bypass: nothing is sealed."),
    Metric("sealgate_workers_missing", "gauge", "Worker processes that can't be started: nothing is sealed."),
    Metric("sealgate_worker_deaths_total", "counter", "Worker processes that died."),
    Metric("sealgate_store_seconds", "histogram", "Seconds from the C-STORE request to its answer."),
    Metric(
        "sealgate_prepare_seconds",
        "histogram",
        "Seconds to seal, verify, restore or release one instance.",
        ("action",),
    ),
    Metric("sealgate_forward_seconds", "histogram", "Seconds to send one instance.", ("destination",)),
    Metric("sealgate_delivery_seconds", "histogram", "Seconds from arrival to delivery.", ("destination",)),
    Metric(
        "sealgate_queue_jobs",
        "gauge",
        "Jobs by step, destination and state.",
        ("step", "destination", "state"),
    ),
    Metric(
        "sealgate_queue_age_seconds",
        "gauge",
        "Seconds since the oldest job arrived.",
        ("step", "destination", "state"),
    ),
    Metric("sealgate_spool_kept_bytes", "gauge", "Bytes of delivered objects, kept to be sent again."),
    Metric("sealgate_spool_free_bytes", "gauge", "Free bytes on the disk of the spool."),
    Metric(
        "sealgate_destination_up",
        "gauge",
        "1 if the last attempt to reach the destination succeeded.",
        ("destination",),
    ),
    Metric("sealgate_ledger_entries", "gauge", "Entries in the ledger of what was sealed."),
    Metric(
        "sealgate_ledger_unwritten",
        "gauge",
        "Entries that wait in the queue for the ledger; more than a few for long: it can't be written.",
    ),
    Metric("sealgate_ledger_checkpoint_age_seconds", "gauge", "Seconds since the ledger was signed last."),
    Metric("sealgate_ledger_stamps_total", "counter", "Time stamps of the ledger's checkpoints."),
    Metric("sealgate_codec_info", "gauge", "Execution provider of the networks; always 1.", ("provider",)),
)


@dataclass(frozen=True, kw_only=True)
class JobCount:
    """How many jobs of one kind wait.

    step, destination, state: the labels; destination is empty for steps before delivery.
    jobs: how many.
    age_s: seconds since the oldest of them was received.
    """

    step: str
    destination: str
    state: str
    jobs: int
    age_s: float


class Metrics:
    """All metrics of one gateway, in a registry of their own.

    The service counts; worker processes report to it.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._by_name: dict[str, Counter | Gauge | Histogram] = {}
        for metric in METRICS:
            name = metric.name
            if metric.kind == "counter":
                self._by_name[name] = Counter(name, metric.help, metric.labels, registry=self._registry)
            elif metric.kind == "gauge":
                self._by_name[name] = Gauge(name, metric.help, metric.labels, registry=self._registry)
            else:
                self._by_name[name] = Histogram(
                    name, metric.help, metric.labels, registry=self._registry, buckets=SECONDS
                )

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter."""
        metric = self._by_name[name]
        assert isinstance(metric, Counter)
        (metric.labels(**labels) if labels else metric).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        metric = self._by_name[name]
        assert isinstance(metric, Gauge)
        (metric.labels(**labels) if labels else metric).set(value)

    def add(self, name: str, amount: float) -> None:
        """Raise a gauge, or lower it with a negative amount."""
        metric = self._by_name[name]
        assert isinstance(metric, Gauge)
        metric.inc(amount)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Add a duration to a histogram."""
        metric = self._by_name[name]
        assert isinstance(metric, Histogram)
        (metric.labels(**labels) if labels else metric).observe(seconds)

    def set_jobs(self, counts: Iterable[JobCount]) -> None:
        """Replace the gauges of the queue. Kinds of jobs that `counts` does not name are no longer exported."""
        jobs, age = self._by_name["sealgate_queue_jobs"], self._by_name["sealgate_queue_age_seconds"]
        jobs.clear()
        age.clear()
        for count in counts:
            labels = {"step": count.step, "destination": count.destination, "state": count.state}
            self.set("sealgate_queue_jobs", count.jobs, **labels)
            self.set("sealgate_queue_age_seconds", count.age_s, **labels)

    def exposition(self) -> bytes:
        """All metrics in Prometheus text format."""
        return generate_latest(self._registry)
