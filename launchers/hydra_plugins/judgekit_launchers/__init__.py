"""Hydra launchers of judgekit; Hydra finds them here and imports them at every start, so they import little."""
