"""Why names of Keras are absent from gpudl, and where one that is there behaves otherwise: kept by hand."""

# Patterns of names without "keras.", by reason; the first that fits is said.
ABSENT = {
    "comes with quantization": (
        "quantizers.* Quantizer dtype_policies.AWQDTypePolicy dtype_policies.GPTQDTypePolicy "
        "dtype_policies.Int4DTypePolicy dtype_policies.Quantized* dtype_policies.DTypePolicyMap"
    ),
    "comes with saving of whole models": (
        "saving.*load_model saving.save_model models.load_model models.save_model models.model_from_json "
        "saving.*keras_object utils.*keras_object utils.Config saving.KerasFileEditor export.* "
        "config.enable_unsafe_deserialization"
    ),
    "Keras's own relic of an older format": "legacy.* utils.legacy.*",
    "comes with more ready-made networks": "applications.*",
    "comes with recurrent layers": (
        "layers.*RNN layers.*RNNCell* layers.*GRU* layers.*LSTM* layers.Bidirectional layers.TimeDistributed"
    ),
    "comes with attention": (
        "layers.*Attention ops*.dot_product_attention layers.ReversibleEmbedding config.*flash_attention*"
    ),
    "comes with convolutions and pooling of other ranks": (
        "layers.*Conv* layers.*Pool* layers.ZeroPadding* layers.Cropping* layers.UpSampling* ops*.conv "
        "ops*.conv_transpose ops*.*_conv ops*.adaptive_*_pool layers.SpatialDropout* ops*.fold ops*.unfold "
        "ops*.depth_to_space ops*.space_to_depth"
    ),
    "comes with more normalization": (
        "layers.*Normalization ops*.*normalization ops*.normalize ops*.moments ops.norm ops.linalg.norm"
    ),
    "comes with more core layers": (
        "layers.AlphaDropout layers.GaussianDropout layers.PReLU layers.Permute layers.RepeatVector "
        "layers.EinsumDense layers.Pipeline"
    ),
    "comes with local histograms": "layers.Contrast*",
    "comes with data from folders and series": "preprocessing.* utils.*_from_directory",
    "comes with bounding boxes": "utils.bounding_boxes.* visualization.*",
    "comes with audio": "layers.*Spectrogram ops*.*stft ops*.*fft* ops.extract_sequences utils.audio*",
    "comes with connectionist temporal classification": "ops*.ctc_*",
    "comes with linear algebra": (
        "ops*.cholesky* ops*.det ops*.eig* ops*.inv ops*.lstsq ops*.lu_factor ops*.matrix_rank ops*.pinv "
        "ops*.qr ops*.solve* ops*.svd ops*.slogdet ops*.logdet ops*.jvp"
    ),
    "comes with more control flow": (
        "ops.*_loop ops.cond ops.switch ops.map ops.associative_scan ops.vectorized_map ops*.vectorize "
        "ops.custom_gradient ops.stop_gradient Function Operation"
    ),
    "comes with more ops": "ops.* backend.result_type",
    "comes with more distributions": "random.*",
    "another backend's": (
        "layers.FlaxLayer layers.JaxLayer layers.TFSMLayer layers.TorchModuleWrapper config.is_nnx_enabled"
    ),
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
