"""From a network to proved artifacts in ONNX, TFLite and Core ML."""
