"""Speed comparisons against peers; each module is a command that prints JSON."""
