"""Everything that decides one run: settings, their rules, YAML in and out.

Every package may import it; it imports no torch.
"""

from absgd.config.run import RunConfig, check_key, merge_dotted, setting_keys

__all__ = ["RunConfig", "check_key", "merge_dotted", "setting_keys"]
