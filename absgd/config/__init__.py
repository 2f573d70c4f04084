"""Everything that decides one run: settings, their rules, YAML in and out.

Every package may import it; it imports no torch.
"""

from absgd.config.dotted_keys import check_key, merge_dotted, setting_keys
from absgd.config.run import RunConfig

__all__ = ["RunConfig", "check_key", "merge_dotted", "setting_keys"]
