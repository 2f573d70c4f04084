import absgd.models


def test_exports_are_sorted_and_present() -> None:
    assert absgd.models.__all__ == sorted(absgd.models.__all__)
    assert all(hasattr(absgd.models, name) for name in absgd.models.__all__)
