"""Parts of a user's own: decorators that declare a model, loss or data set, and the loading of the code that does.

Every package above may import it; it imports no torch itself, though the code that it loads may.
"""

from absgd.plugins.declarations import Options, data_set, loss, model
from absgd.plugins.loading import load_plugin

__all__ = ["Options", "data_set", "load_plugin", "loss", "model"]
