"""Training in Lightning: SFT and DPO on prefix-packed batches."""
