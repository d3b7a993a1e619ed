"""The released networks (.onnx), their cards (.json) and the signatures of the cards (.sig); made by `export`."""
