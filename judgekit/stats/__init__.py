"""Statistics as pure functions of numbers: no files, no models, no configuration; of judgekit only randomness."""
