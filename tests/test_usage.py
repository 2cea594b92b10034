"""Sizes on disk, counted from real files."""

from core import usage


def test_a_folder_counts_every_file_below_it_and_a_database_its_write_ahead_files(home):
    (home.datasets / "p" / "a").mkdir(parents=True)
    (home.datasets / "p" / "a" / "data.csv").write_bytes(b"x" * 1000)
    (home.datasets / "p" / "b.csv").write_bytes(b"x" * 234)
    found = {u.name: u for u in usage.measure_usage(home)}
    assert (found["Datasets"].bytes, found["Datasets"].files) == (1234, 2)
    beside = [home.db.with_name(home.db.name + end) for end in ("", "-wal", "-shm")]
    assert found["Acts, accounts and audit"].bytes == sum(p.stat().st_size for p in beside if p.exists())
    assert (found["Reports"].bytes, found["Reports"].files) == (0, 0)


def test_the_largest_comes_first_and_the_disk_is_the_real_one(home):
    (home.reports / "r.html").write_bytes(b"x" * 5_000_000)
    assert usage.measure_usage(home)[0].name == "Reports"
    disk = usage.measure_disk(home)
    assert 0 < disk.free <= disk.total
