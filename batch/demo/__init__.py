"""Generated archives: the demonstration, the golden images, and the tests' source of images."""
