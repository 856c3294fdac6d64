"""Checks of what others would have to be trusted for: verifiers, applications, builds, setups."""
