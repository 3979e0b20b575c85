"""melanoma-batch: scores dermoscopy archives with a Keras model in an Apache Beam pipeline.

Importing this package loads none of TensorFlow, Beam, pyarrow, pandas, Pillow or pydicom.
"""

__version__ = "0.1.0"
