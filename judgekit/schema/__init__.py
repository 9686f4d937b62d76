"""Configuration schema and validation."""
