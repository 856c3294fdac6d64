"""The prover hub: takes private inputs over HTTP, proves them on workers, and serves the page."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # names of this machine, for nobody else
