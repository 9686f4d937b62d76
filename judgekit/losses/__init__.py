"""``loss``: the losses papers define, as pure functions on log-probabilities, each in a file with what configures it.

Shapes: N completion tokens, B examples or preference pairs. All log-probabilities are natural and in fp32. Where a
column is named 2, it holds chosen and rejected. The files import torch when a loss is computed, not before.

Preference losses are functions of the *gap* h, by how much more the policy prefers chosen to rejected than the
reference does: ``h = log π(chosen) / π_ref(chosen) − log π(rejected) / π_ref(rejected)``.
"""
