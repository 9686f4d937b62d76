"""Self-Rewarding Language Models (arXiv 2401.10020): a model that answers prompts, scores its answers, and learns."""
