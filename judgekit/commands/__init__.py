"""Plain commands, one file each; ``judgekit.cli`` reads their arguments."""
