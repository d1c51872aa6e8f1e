from __future__ import annotations

from hypothesis import settings

settings.register_profile("dlcache", deadline=None)
settings.load_profile("dlcache")
