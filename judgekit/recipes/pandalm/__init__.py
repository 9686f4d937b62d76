"""PandaLM (arXiv 2306.05087): a small judge that learns a stronger model's verdicts, reasons and references."""
