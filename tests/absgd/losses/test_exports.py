import absgd.losses


def test_exports_are_sorted_and_present() -> None:
    assert absgd.losses.__all__ == sorted(absgd.losses.__all__)
    assert all(hasattr(absgd.losses, name) for name in absgd.losses.__all__)
