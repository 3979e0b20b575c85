"""The list of lesions that a person is asked to look at, and the marks on them."""
