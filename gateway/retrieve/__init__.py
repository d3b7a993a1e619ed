"""The way back: queries and retrievals of viewers, answered from the archive, every object verified on its way."""
