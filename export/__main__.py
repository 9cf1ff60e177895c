"""``python -m export`` is ``edgeworthy export``."""

import edgeworthy

edgeworthy.export()
