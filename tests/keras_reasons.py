"""Why names of Keras are absent from gpudl, and where one that is there behaves otherwise: kept by hand."""

# Patterns of names without "keras.", by reason; the first that fits is said.
ABSENT = {
    "comes with quantization": (
        "quantizers.* Quantizer dtype_policies.AWQDTypePolicy dtype_policies.GPTQDTypePolicy "
        "dtype_policies.Int4DTypePolicy dtype_policies.Quantized* dtype_policies.DTypePolicyMap"
    ),
    "comes with export to other formats": "utils.Config saving.KerasFileEditor export.*",
    "a file is data in gpudl: there is nothing to enable": "config.enable_unsafe_deserialization",
    "Keras's own relic of an older format": "legacy.* utils.legacy.*",
    "comes with more ready-made networks": "applications.*",
    "attention is always computed block by block": "config.*flash_attention*",
    "comes with pictures of images": "visualization.*",
    "comes with audio": "layers.*Spectrogram utils.audio*",
    "comes with a face of operations": "Function Operation",
    "another backend's": "layers.FlaxLayer layers.JaxLayer layers.TFSMLayer layers.TorchModuleWrapper",
    "one device computes a step": "distribution.*",
    "not planned: needs another package or a server": "wrappers.* callbacks.OrbaxCheckpoint callbacks.RemoteMonitor",
    "comes with recomputation of activations": "RematScope remat",
    "comes with distillation as a class of its own": "distillation.*",
    "comes with small helpers": "utils.*",
}
BEHAVIOUR = {
    "config.disable_traceback_filtering": "changes nothing: tracebacks are always whole",
    "config.enable_traceback_filtering": "changes nothing: tracebacks are always whole",
    "Model": "train_step(), test_step() and predict_step() take data only, as Keras's do on TensorFlow",
    "models.Model": "see Model",
}
