"""What the kit leaves out on purpose, and where it differs: held against the contract by test_contract."""

MODULES = (
    "nvidia_tao_pytorch.core.callbacks.ema",
    "nvidia_tao_pytorch.core.mlops",
    "nvidia_tao_pytorch.core.quantization",
    "nvidia_tao_pytorch.core.quantization.utils",
    "nvidia_tao_pytorch.cv.backbone_v2.convnext_v2",
    "nvidia_tao_pytorch.cv.backbone_v2.dino_v2",
    "nvidia_tao_pytorch.cv.backbone_v2.hiera",
    "nvidia_tao_pytorch.cv.backbone_v2.resnet",
    "nvidia_tao_pytorch.cv.backbone_v2.swin",
)
"""Exponential moving average, experiment trackers, quantization, and backbones that are no plain ViT."""

SYMBOLS = (
    # Masked autoencoders, and the features of a ViT that classification does not take.
    "backbone vit_base_patch16_mae",
    "backbone vit_huge_patch14_mae",
    "backbone vit_large_patch16_mae",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformer._interpolate_pos_encoding",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformer.get_spatial_feat",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformerMAE",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:vit_base_patch16_mae",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:vit_huge_patch14_mae",
    "nvidia_tao_pytorch.cv.backbone_v2.vit:vit_large_patch16_mae",
    "nvidia_tao_pytorch.cv.backbone_v2.backbone_base:BackboneBase._init_weights",
    "nvidia_tao_pytorch.cv.backbone_v2.backbone_base:BackboneBase._module_is_initialized",
    "nvidia_tao_pytorch.cv.backbone_v2.backbone_base:BackboneBase.no_weight_decay_keywords",
    # DINOv2 checkpoints of another patch size.
    "nvidia_tao_pytorch.core.utils.pos_embed_interpolation:interpolate_patch_embed",
    "nvidia_tao_pytorch.cv.classification_pyt.model.classifier:interpolate_vit_checkpoint",
    "nvidia_tao_pytorch.core.utils.ptm_utils:common_parser",
    # Distillation.
    "nvidia_tao_pytorch.config.classification_pyt.default_config:ClassDistillationConfig",
    "nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig.distill",
    # Field helpers that no classification schema uses.
    "nvidia_tao_pytorch.config.utils.types:OPTIONAL_LIST_FIELD",
    "nvidia_tao_pytorch.config.utils.types:SUBSET_LIST_FIELD",
    "nvidia_tao_pytorch.config.utils.types:UNION_FIELD",
    # Collectives; the kit asks for rank and size only.
    "nvidia_tao_pytorch.core.distributed.comm:all_gather",
    "nvidia_tao_pytorch.core.distributed.comm:get_local_rank",
    "nvidia_tao_pytorch.core.distributed.comm:get_local_size",
    "nvidia_tao_pytorch.core.distributed.comm:local_broadcast_process_authkey",
    "nvidia_tao_pytorch.core.distributed.comm:local_scatter",
    "nvidia_tao_pytorch.core.distributed.comm:synchronize",
    # Encryption, mixup and cutmix, plugins in the ONNX graph.
    "nvidia_tao_pytorch.core.utilities:encrypt_onnx",
    "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel._apply_mixup_cutmix",
    "nvidia_tao_pytorch.cv.classification_pyt.utils.onnx_export:ONNXExporter.onnx_change",
    "nvidia_tao_pytorch.cv.classification_pyt.utils.onnx_export:ONNXExporter.setUpClass",
    # What nothing reads: attributes, and the status log's categories and graphs.
    "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.batch",
    "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.epoch_acc",
    "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.max_num_epochs",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger._epoch_start_time",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger._handle_value",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger._step_start_time",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger.avg_time_per_batch",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger.keys",
    "nvidia_tao_pytorch.core.callbacks.loggers:TAOStatusLogger.num_steps_in_experiment",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger._categorical",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger._graphical",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger._kpi",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.categorical",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.date",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.format_data",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.graphical",
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.time",
    "nvidia_tao_pytorch.core.loggers.api_logging:StatusLogger.format_data",
    "nvidia_tao_pytorch.core.loggers.api_logging:logger",
    # An attribute here, a property there.
    "nvidia_tao_pytorch.core.loggers.api_logging:BaseLogger.kpi",
    # Lightning's own does nothing either.
    "nvidia_tao_pytorch.core.lightning.tao_lightning_module:TAOLightningModule.on_save_checkpoint",
)

CHANGED = (
    # The kit does not have the backbone that the real schema names.
    "nvidia_tao_pytorch.config.classification_pyt.default_config:BackboneConfig.type",
    # The same networks: the arguments that the kit does not spell out are timm's defaults.
    "backbone vit_base_patch16",
    "backbone vit_huge_patch14",
    "backbone vit_large_patch16",
)

INHERITED = (
    # The real tree defines them in a base class.
    "TLTPyTorchCookbook.get_passphrase",
    "TLTPyTorchCookbook.set_passphrase",
)
