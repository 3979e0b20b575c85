"""From a file's bytes to the model's input: formats, DICOM, colours, preprocessing, sandbox."""
