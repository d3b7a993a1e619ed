"""Other ways to hide the same payload, for comparison.

The reader of a baseline is told more than ours: the strength, the length of the code and the plane. Ours is told
nothing. Where a method has a strength, it is set so that the method distorts the image as much as our profile robust.
"""
