"""``python -m bench`` is ``edgeworthy bench``."""

import edgeworthy

edgeworthy.bench()
