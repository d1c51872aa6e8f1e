from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("dlcache", deadline=None)
settings.load_profile("dlcache")


@pytest.fixture(scope="session", autouse=True)
def own_mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remote shards are mirrored into a folder of the tests' own, never into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCACHE_MIRROR_DIR", str(tmp_path_factory.mktemp("mirror")))
        yield
