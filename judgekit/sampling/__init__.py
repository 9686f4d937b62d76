"""Sampling: requests, the sampler protocol and its back ends, and the cache of generations."""
