"""The job on engines beyond one process: Beam's own job service, and a real Flink cluster.

`python -m tests.scenarios.cluster.fetch FOLDER` gets what Flink needs; with
MELANOMA_BATCH_FLINK=FOLDER the tests in test_flink.py start a JobManager, two TaskManagers and a
job server on loopback, and end them. Without it they are skipped and say so.
"""
