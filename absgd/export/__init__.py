"""A trained model taken home: files of weights with all that is needed to use them, and a card that says what they are.

For `absgd.cli` and users; `absgd.load_model` reads such a file.
"""
