"""Figures for operators, in Prometheus' format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hub.jobs import OPEN, Jobs

SECONDS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The figures of one hub since its start."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._open = Gauge("verdict_jobs", "Open jobs.", ["state"], registry=self._registry)
        self._workers = Gauge("verdict_workers", "Connected workers.", registry=self._registry)
        self.accepted = Counter(
            "verdict_jobs_accepted",
            "Accepted jobs since the hub's start.",
            ["circuit"],
            registry=self._registry,
        )
        self.ended = Counter(
            "verdict_jobs_ended",
            "Ended jobs since the hub's start.",
            ["circuit", "state"],
            registry=self._registry,
        )
        self.proving = Histogram(
            "verdict_proving_seconds",
            "Seconds from a worker's start on a job to its proof.",
            ["circuit"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.waiting = Histogram(
            "verdict_waiting_seconds",
            "Seconds from the acceptance of a job to a worker's start on it.",
            ["circuit"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def written(self, jobs: Jobs, workers: int) -> bytes:
        """The text that Prometheus reads."""
        counts = jobs.states()
        for state in OPEN:
            self._open.labels(state).set(counts.get(state, 0))
        self._workers.set(workers)
        return generate_latest(self._registry)
