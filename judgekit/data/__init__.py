"""Sources -> rows: instructions, response pairs and the checkers that verify responses."""
