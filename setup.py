"""Packaging of melanoma-batch; tool settings stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "batch/__init__.py").read_text())[1]

REQUIRES = [
    # the five that the job is made of, and what they share
    "tensorflow>=2.20,<3",
    "keras>=3.13.1,<4",  # earlier versions could be made to run code from a .keras file
    "apache-beam>=2.70,<3",  # with its own grpcio and protobuf, which batch/worker.py speaks
    "pandas>=2.2",
    "pyarrow>=18",
    "Pillow>=12",
    "pydicom>=3.0.1,<4",
    "numpy>=2",
    # what DICOM needs to be decoded, without GPL and without GDCM; one decoder a transfer syntax
    "pylibjpeg>=2.1",
    "pylibjpeg-openjpeg>=2.5",  # JPEG 2000, HTJ2K
    "pylibjpeg-rle>=2.2",  # three times as fast as pydicom's own
    "pyjpegls>=1.5",  # JPEG-LS
    # lossless JPEG, JPEG XL; PNG by libpng, which refuses data that end early where Pillow leaves
    # black, and is faster; TIFF's LZW and PackBits. Not tifffile: it fills missing strips as well
    "imagecodecs>=2025.3.30",
    # JPEG that fails on damaged data, where Pillow fills with grey and says nothing
    "simplejpeg>=1.8",
    # Pillow's bilinear resize on SIMD, faster; memory-safe Rust, gives up the lock
    "cykooz.resizer>=4.0.1,<5",
    # strict reading of manifest.json: names the field, the value and what is allowed, where
    # checks of our own would be longer than the manifest; and lenient reading of run.json
    "pydantic>=2.9,<3",
    # the command line: options from environment and file, completion, near matches, help in
    # groups; argparse had none of these, and cloup adds nothing but the groups to click
    "click>=8.2",
    "cloup>=3.0.8",
    # rate and time left on any terminal, nothing when there is none
    "tqdm>=4.66",
    # `evaluate` and `calibrate`, which every hospital needs: exact binomial intervals, Brent's
    # search. Not scikit-learn, which only `train` needs
    "scipy>=1.13",
    # the text format and its atomic file, of which an escape is easily got wrong
    "prometheus-client>=0.20",
    # the morning's page: what comes from an archive is escaped by the engine, not by our memory
    "Jinja2>=3.1.5",
    "MarkupSafe>=2.1",  # Jinja2's own: says which text is markup already
    # manifests, labels and outcomes as hospitals keep them: most are Excel, and pandas reads it by
    # this library
    "openpyxl>=3.1",
]

TRAIN = [
    # stratified splits by group: not to be written again; oracle of measures. Not in the base: it
    # is 54 MB, and nothing that a night or an evaluation does calls it
    "scikit-learn>=1.5",
    "ImageHash>=4.3",  # perceptual hashes that find near-duplicates
    "matplotlib>=3.9",  # the pictures beside an artifact; scikit-learn's displays draw with it
]

TRAIN_GPU = [
    *TRAIN,
    # `batch.training.torch_course`: a long course where there is a GPU, which TensorFlow's wheel
    # drives on few of them; the artifact's model is Keras's all the same
    "torch>=2.4",
]

S3 = [
    # not Beam's own filesystems: those tell no ETag, know no conditional write and ask twice for an
    # object, where an archive's 0.4 to 4 MB want one request. obstore brings an object's bytes, for
    # a seventh of botocore's processor time at 0.4 MB; botocore does the rest: profiles, keys that
    # obstore has no name for, the store's words and clock (batch/storage/object_clients.py)
    "obstore>=0.12",
    "botocore>=1.36",  # the first that can leave out the newer checksums
]

DESK = [
    # `serve`: routing, headers, cookies and HTTP itself are attacked code and not ours to write;
    # few parts, no compiled one but bcrypt. Not Flask and waitress: a wait for the disk or for a
    # decoder would hold one of their few threads, and their forms and sessions are not needed
    "starlette>=0.40",
    "uvicorn>=0.30",
    "bcrypt>=4",  # reads what `htpasswd -B` writes
]

DICOM = [
    # `export`: TID 1500 has some forty content items whose order, relations and codes validators
    # check; a document built by hand passes none at first. 8 kB of result for 3 MB of library
    "highdicom>=0.25",
    "dicomweb-client>=0.60",  # STOW-RS: multipart, and answers in JSON or XML
    "pynetdicom>=3.0.2,<4",  # C-STORE: DICOM's own protocol, from pydicom's makers
    "requests>=2.32",  # FHIR servers; dicomweb-client's own
]

TEST = [
    *TRAIN,
    *S3,
    *DESK,
    *DICOM,
    "moto[s3]>=5.1",  # an S3 server on loopback, with conditional writes
    "flask>=3",  # which moto's server runs on
    "flask-cors>=4",
    "pytest>=8",
    "pytest-xdist>=3.6",  # two processes: half the time on two cores
    "hypothesis>=6.100",
    "selenium>=4.20",  # drives Debian's chromium: the page is tested as a person uses it
    "tifffile>=2025.1",  # writes and reads TIFF independently of batch/images/tiff.py
    "pydicom-data>=1.0",  # public DICOM files: the same pictures in many encodings
    "ruff>=0.12",
    "import-linter>=2.3",  # which room may import which: not an AST test of our own
    "mypy>=1.15",
    "pandas-stubs",
    "types-tqdm",
    "setuptools>=77",  # the wheel test builds without network
    "wheel",
    # not isic-challenge-scoring, which our figures agree with: its zipfile-deflate64 has no wheel
    # and wants a C compiler. What it says is in tests/evaluation/public_scores.json, and where it
    # is installed a test compares anew (tests/tools/public_scorer.py says how).
]

setup(
    name="melanoma-batch",
    version=VERSION,
    description="Batch scorer for dermoscopy archives: Apache Beam, Keras, Parquet",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    # the program; and the weights, which were learned from images for non-commercial use
    license_expression="Apache-2.0 AND CC-BY-NC-4.0",
    license_files=["LICENSE", "model_artifacts/LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=["batch", "batch.*"]), "schemas", "model_artifacts"],
    package_data={
        "batch.demo": ["isic/*"],
        "batch.desk": ["templates/*", "README.md"],
        "batch.evaluation": ["templates/*"],
        "batch.export": ["README.md"],
        "batch.operations": ["templates/*"],
        "batch.review.page": ["templates/*"],
        "batch.training": ["sources.toml", "README.md"],
        "schemas": ["*.json", "README.md"],
        "model_artifacts": ["LICENSE", "*/*", "*/golden/*", "*/plots/*"],
    },
    install_requires=REQUIRES,
    extras_require={
        "train": TRAIN,
        "train-gpu": TRAIN_GPU,
        "s3": S3,
        "desk": DESK,
        "serve": DESK,  # the same, by the name of the command
        "dicom": DICOM,
        "test": TEST,
    },
    entry_points={
        "console_scripts": [
            "melanoma-batch = batch.cli:main",
            "melanoma-batch-worker = batch.worker:main",  # what an engine starts on its machines
        ]
    },
    zip_safe=False,
)
