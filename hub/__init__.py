"""The prover hub: takes private inputs over HTTP, proves them on workers, serves the page."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # names that reach this machine only
