"""What the tests share: real peers, a running gateway, synthetic objects."""
