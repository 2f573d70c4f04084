"""Everything that decides one run: settings, their rules, YAML in and out.

Every package may import it; it imports no torch.
"""

from absgd.config.dotted_keys import check_key, merge_dotted, setting_keys
from absgd.config.run import RunConfig
from absgd.config.sections import (
    AttentionConfig,
    AugmentationConfig,
    ClassBalanceConfig,
    DataConfig,
    DeviceConfig,
    ImbalanceConfig,
    LossConfig,
    ModelConfig,
    NoiseConfig,
    OptimizerConfig,
    ScheduleConfig,
    SeedConfig,
)

__all__ = [
    "AttentionConfig",
    "AugmentationConfig",
    "ClassBalanceConfig",
    "DataConfig",
    "DeviceConfig",
    "ImbalanceConfig",
    "LossConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimizerConfig",
    "RunConfig",
    "ScheduleConfig",
    "SeedConfig",
    "check_key",
    "merge_dotted",
    "setting_keys",
]
