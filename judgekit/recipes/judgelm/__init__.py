"""JudgeLM (arXiv 2310.17631): a judge distilled from a teacher's scores and reasons."""
