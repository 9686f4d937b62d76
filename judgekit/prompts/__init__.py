"""How judges are asked and how their replies are read: a protocol and what configures it in one file."""
