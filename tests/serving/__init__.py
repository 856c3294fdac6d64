"""Parts of the hub, each called directly; no server is started."""
