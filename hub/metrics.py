"""What operators watch, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hub.jobs import OPEN, Jobs

SECONDS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._open = Gauge(
            "verdict_jobs", "Jobs that have not ended.", ["state"], registry=self._registry
        )
        self._workers = Gauge("verdict_workers", "Workers that prove.", registry=self._registry)
        self.accepted = Counter(
            "verdict_jobs_accepted",
            "Jobs so far.",
            ["circuit"],
            registry=self._registry,
        )
        self.ended = Counter(
            "verdict_jobs_ended",
            "Ends of jobs so far.",
            ["circuit", "state"],
            registry=self._registry,
        )
        self.proving = Histogram(
            "verdict_proving_seconds",
            "From a worker's beginning to the proof.",
            ["circuit"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.waiting = Histogram(
            "verdict_waiting_seconds",
            "From a job's acceptance to a worker's beginning.",
            ["circuit"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def written(self, jobs: Jobs, workers: int) -> bytes:
        counts = jobs.states()
        for state in OPEN:
            self._open.labels(state).set(counts.get(state, 0))
        self._workers.set(workers)
        return generate_latest(self._registry)
