"""Trains, exports, signs and measures the networks of the codec; see README.md. The gateway never imports it."""
