"""Stages: what a run is made of, each a frozen dataclass whose fields are its key."""
