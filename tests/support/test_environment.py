import pytest

from dynamics.support.environment import available_memory


def system(root, **contents):
    """A root folder in which only some of the system's files exist."""
    paths = {
        "meminfo": "proc/meminfo",
        "limit": "sys/fs/cgroup/memory.max",
        "usage": "sys/fs/cgroup/memory.current",
        "old_limit": "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "old_usage": "sys/fs/cgroup/memory/memory.usage_in_bytes",
    }
    for name, content in contents.items():
        path = root / paths[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MEMINFO = "MemTotal:  4000 kB\nMemFree:  100 kB\nMemAvailable:  3000 kB\n"


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"meminfo": MEMINFO}, 3000 * 1024),
        ({"meminfo": MEMINFO, "limit": "max\n", "usage": "5\n"}, 3000 * 1024),
        ({"meminfo": MEMINFO, "limit": "5000\n", "usage": "1000\n"}, 4000),
        ({"meminfo": MEMINFO, "limit": "5000\n", "usage": "6000\n"}, 0),
        ({"meminfo": MEMINFO, "old_limit": "7000\n", "old_usage": "1000\n"}, 6000),
        ({"meminfo": "nothing known\n", "limit": "5000", "usage": "1000"}, 4000),
    ],
)
def test_the_tightest_limit_counts(contents, expected, tmp_path):
    assert available_memory(system(tmp_path, **contents)) == expected


def test_without_these_files_it_is_the_physical_memory_or_unknown(tmp_path, monkeypatch):
    assert available_memory(tmp_path) > 2**20
    monkeypatch.delattr("os.sysconf")
    assert available_memory(tmp_path) is None


def test_this_machine_has_some():
    assert 2**20 < available_memory() < 2**50
