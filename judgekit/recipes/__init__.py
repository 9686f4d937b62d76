"""Recipes: one folder per paper, with what it is configured by, its checks, its stages and the recipe itself."""
