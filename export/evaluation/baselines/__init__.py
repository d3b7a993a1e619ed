"""Other ways to hide the same payload, for comparison.

All are given more than our own reader gets: the reader of a baseline is told the strength, the length of the code and
the plane; ours is told nothing. Where a method has a strength, it is set to the distortion of our robust profile on
the same image.
"""
