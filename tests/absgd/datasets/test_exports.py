import absgd.datasets


def test_exports_are_sorted_and_present() -> None:
    # Constants come first, as the linter sorts them.
    assert absgd.datasets.__all__ == sorted(absgd.datasets.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(absgd.datasets, name) for name in absgd.datasets.__all__)
