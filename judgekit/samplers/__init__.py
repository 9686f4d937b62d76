"""``sampler``: a back end's configuration and what makes it, in one file each. They import no back end.

What the back ends are made of, and the cache of their generations, is in ``judgekit.sampling``.
"""
