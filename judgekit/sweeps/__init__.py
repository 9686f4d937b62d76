"""Sweeps: what a grid of runs leaves in its folder, starting its jobs, and telling how they are."""
