"""Generated images: for the demonstration, the golden images and the tests."""
