"""Audits of verifiers, applications, builds and SRS files."""
