"""Bias controls, one file each: the field of ``bias`` it adds, the value that means off, what it does to rows."""
