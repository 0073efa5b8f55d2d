"""How the suite shares out its time: the whole of it runs in two processes, a test file by itself in none but this."""

import os

import pytest


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`. A few files are sooner done than another Python has started; `-n 0` for the whole suite in one."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    cores = len(os.sched_getaffinity(0))
    return 2 if whole and cores > 1 else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together, in their order; files that name a group (calls in real time) also among them."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
