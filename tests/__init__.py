import pytest

# Helpers that assert: a failure shows both sides there as well.
pytest.register_assert_rewrite("tests.browser", "tests.walk_build", "tests.walk_release", "tests.walk_watch")
